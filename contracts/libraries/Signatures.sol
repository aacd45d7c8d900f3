// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {Packed} from "./Packed.sol";

/// @notice Whether an account signed a digest: with its key, or, if it is a contract, by its own word (ERC-1271).
/// @dev The key is tried first, so that asking costs a member with a key no look at its code; and an account that is both
/// (EIP-7702) may sign either way.
library Signatures {
    uint256 private constant KEY_BYTES = 65;

    /// @dev Half the order of secp256k1.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @dev What a contract may spend on its answer: enough for a wallet of several owners, and a bound to what one
    /// member can do to a batch with other members' bids in it.
    uint256 private constant CONTRACT_GAS = 200_000;

    /// @param from Where the signature starts in calldata
    /// @param to Where it ends
    function isValid(address account, bytes32 digest, uint256 from, uint256 to) internal view returns (bool) {
        unchecked {
            if (to - from == KEY_BYTES && signerOf(digest, from) == account && account != address(0)) return true;
        }
        return account.code.length != 0 && _contractAgrees(account, digest, Packed.slice(from, to - from));
    }

    /// @notice Who signed with a key, 0 = nobody; of the two signatures there are, only the one with the low s counts.
    /// @param from Where the 65 bytes `r | s | v` start in calldata
    function signerOf(bytes32 digest, uint256 from) internal view returns (address signer) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, digest)
            mstore(add(free, 0x20), byte(0, calldataload(add(from, 0x40))))
            calldatacopy(add(free, 0x40), from, 0x40)
            mstore(0, 0)
            // the precompile writes nothing where there is no signer
            if iszero(gt(mload(add(free, 0x60)), HALF_ORDER)) { pop(staticcall(gas(), 1, free, 0x80, 0, 0x20)) }
            signer := mload(0)
        }
    }

    /// @dev As OpenZeppelin's SignatureChecker, but with bounded gas and no more than one word of answer looked at.
    function _contractAgrees(address account, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool agrees)
    {
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        bytes32 yes = bytes32(IERC1271.isValidSignature.selector);
        assembly ("memory-safe") {
            mstore(0, 0)
            let answered := staticcall(CONTRACT_GAS, account, add(question, 32), mload(question), 0, 32)
            agrees := and(and(answered, gt(returndatasize(), 31)), eq(mload(0), yes))
        }
    }
}
