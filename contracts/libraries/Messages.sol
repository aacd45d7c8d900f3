// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Calls to our own contracts whose last argument, so many bytes for each member, is put together where it is
/// sent from, so that nothing is copied on the way. They revert as the called contract does.
library Messages {
    /// @dev Selector, two words, and where the last argument is and how long.
    uint256 private constant HEAD_BYTES = 160;

    /// @notice Room for `size` bytes, for the call's head before them and for a word behind them.
    /// @return start Where in memory they start
    function open(uint256 size) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(mload(0x40), HEAD_BYTES)
            mstore(0x40, add(start, and(add(size, 63), not(31))))
        }
    }

    /// @notice Room for a number of bytes not known yet, at the end of memory: nothing else may be put there before `close`.
    function open() internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(mload(0x40), HEAD_BYTES)
        }
    }

    /// @param end Where the bytes of a message that was opened without a size end
    function close(uint256 end) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, and(add(end, 63), not(31)))
        }
    }

    /// @notice `selector(bytes)`, which changes nothing and returns words.
    /// @return answer Where in memory the words start
    function ask(address to, bytes4 selector, uint256 start, uint256 end) internal view returns (uint256 answer) {
        assembly ("memory-safe") {
            mstore(sub(start, 68), selector)
            mstore(sub(start, 64), 32)
            mstore(sub(start, 32), sub(end, start))
            answer := mload(0x40)
            if iszero(staticcall(gas(), to, sub(start, 68), add(sub(end, start), 68), 0, 0)) {
                returndatacopy(answer, 0, returndatasize())
                revert(answer, returndatasize())
            }
            returndatacopy(answer, 0, returndatasize())
            mstore(0x40, add(answer, returndatasize()))
            answer := add(answer, 64)
        }
    }

    /// @notice `selector(uint256,bytes)`; what it returns stays to be taken up by `settle`.
    function send(address to, bytes4 selector, uint256 first, uint256 start, uint256 end) internal {
        assembly ("memory-safe") {
            mstore(sub(start, 100), selector)
            mstore(sub(start, 96), first)
            mstore(sub(start, 64), 64)
            mstore(sub(start, 32), sub(end, start))
            if iszero(call(gas(), to, 0, sub(start, 100), add(sub(end, start), 100), 0, 0)) {
                let free := mload(0x40)
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }

    /// @notice `selector(uint256,bytes32,bytes)`.
    function send(address to, bytes4 selector, uint256 first, bytes32 second, uint256 start, uint256 end) internal {
        assembly ("memory-safe") {
            mstore(sub(start, 132), selector)
            mstore(sub(start, 128), first)
            mstore(sub(start, 96), second)
            mstore(sub(start, 64), 96)
            mstore(sub(start, 32), sub(end, start))
            if iszero(call(gas(), to, 0, sub(start, 132), add(sub(end, start), 132), 0, 0)) {
                let free := mload(0x40)
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }

    /// @notice `selector(bytes,uint256[])`, where the words are those that the call before returned; behind the bytes there
    /// must be room for them.
    function forward(address to, bytes4 selector, uint256 start, uint256 end) internal {
        assembly ("memory-safe") {
            let words := and(add(end, 31), not(31))
            let size := sub(returndatasize(), 32)
            returndatacopy(words, 32, size)
            mstore(sub(start, 100), selector)
            mstore(sub(start, 96), 64)
            mstore(sub(start, 64), add(96, sub(words, start)))
            mstore(sub(start, 32), sub(end, start))
            if iszero(call(gas(), to, 0, sub(start, 100), add(add(sub(words, start), size), 100), 0, 0)) {
                let free := mload(0x40)
                returndatacopy(free, 0, returndatasize())
                revert(free, returndatasize())
            }
        }
    }
}
