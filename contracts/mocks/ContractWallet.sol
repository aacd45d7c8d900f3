// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title ContractWallet
/// @notice A member that is a contract: it has no key and speaks by ERC-1271, for its owner or as badly as it is told to.
/// @custom:halt Not for production.
contract ContractWallet is IERC1271 {
    /// @notice How it answers: for its owner; always no; not at all; until no gas is left; the right word with a long
    /// tail; a tail too short to be a word; or yes to everything.
    enum Manner {
        Owner,
        Refuses,
        Reverts,
        BurnsGas,
        AnswersAtLength,
        AnswersShort,
        AgreesToAll
    }

    uint256 private constant LONG = 10_000;

    address public immutable owner;
    Manner public manner;

    constructor(address owner_) {
        owner = owner_;
    }

    function behave(Manner manner_) external {
        manner = manner_;
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        if (manner == Manner.Owner) {
            (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);
            bool agreed = problem == ECDSA.RecoverError.NoError && signer == owner;
            return agreed ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
        }
        if (manner == Manner.AgreesToAll) return IERC1271.isValidSignature.selector;
        if (manner == Manner.Refuses) return 0xffffffff;
        if (manner == Manner.Reverts) revert("no");
        if (manner == Manner.AnswersAtLength) _answer(LONG);
        if (manner == Manner.AnswersShort) _answer(31);
        while (true) {}
        return 0;
    }

    function _answer(uint256 size) private pure {
        bytes32 yes = bytes32(IERC1271.isValidSignature.selector);
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, yes)
            return(free, size)
        }
    }
}
