// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Packed} from "./Packed.sol";

/// @notice Whether an account signed a digest: with its key, or, if it is a contract, by its own word (ERC-1271).
/// @dev The key is tried first, so that asking costs a member with a key no look at its code; and an account that is both
/// (EIP-7702) may sign either way.
library Signatures {
    uint256 private constant KEY_BYTES = 65;

    /// @dev What a contract may spend on its answer: enough for a wallet of several owners, and a bound to what one
    /// member can do to a batch with other members' bids in it.
    uint256 private constant CONTRACT_GAS = 200_000;

    /// @param from Where the signature starts in calldata
    /// @param to Where it ends
    function isValid(address account, bytes32 digest, uint256 from, uint256 to) internal view returns (bool) {
        unchecked {
            if (to - from == KEY_BYTES) {
                (bytes32 r, bytes32 s, uint8 v) = (Packed.word(from), Packed.word(from + 32), Packed.byteAt(from + 64));
                // the third says what about the error; that there is one is enough here
                // slither-disable-next-line unused-return
                (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, v, r, s);
                if (signer == account && problem == ECDSA.RecoverError.NoError) return true;
            }
        }
        return account.code.length != 0 && _contractAgrees(account, digest, Packed.slice(from, to - from));
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
