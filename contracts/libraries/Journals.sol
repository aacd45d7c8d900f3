// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice The bytes of an event `(uint256 indexed auction, bytes)`, put together in memory where they are logged from.
library Journals {
    /// @notice Room for `size` bytes: two words before them for the event's head, and a word behind them, which a write
    /// that starts within them may reach into.
    /// @return start Where the bytes start in memory
    function open(uint256 size) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(mload(0x40), 64)
            mstore(0x40, add(start, and(add(size, 95), not(31))))
        }
    }

    /// @notice Logs what was written up to `end`, if anything.
    /// @param topic The event's selector
    function log(uint256 start, uint256 end, bytes32 topic, uint256 auction) internal {
        uint256 size = end - start;
        if (size == 0) return;
        assembly ("memory-safe") {
            mstore(sub(start, 64), 32)
            mstore(sub(start, 32), size)
            mstore(end, 0)
            log2(sub(start, 64), add(64, and(add(size, 31), not(31))), topic, auction)
        }
    }
}
