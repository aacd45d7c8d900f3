// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Many members' terms as the code of a contract that does nothing else: read all at once, they cost a few gas
/// each, where a storage slot costs 2,100. An entry is `member address | source uint8 | meter address`; a byte that
/// stops whoever calls the contract stands before the first.
library Rosters {
    uint256 internal constant ENTRY_BYTES = 41;

    /// @dev The most that fit the code of one contract.
    uint256 internal constant MOST_ENTRIES = 599;

    /// @dev Returns what follows these 10 bytes; the gap is for its length.
    uint256 private constant CREATION = 0x61_0000_80600a3d393df3_00;
    uint256 private constant CREATION_BYTES = 10;

    /// @notice Room for so many entries and for what creates the roster.
    /// @return start Where in memory the first goes
    function open(uint256 count) internal pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := add(mload(0x40), 32)
            mstore(0x40, and(add(add(start, mul(count, ENTRY_BYTES)), 63), not(31)))
        }
    }

    /// @notice Writes an entry; what it writes behind it is the next one's, or nobody's.
    function put(uint256 at, address member, uint256 source, address meter) internal pure {
        assembly ("memory-safe") {
            mstore(at, or(shl(96, member), shl(88, source)))
            mstore(add(at, 21), shl(96, meter))
        }
    }

    /// @notice The contract whose code the entries are, 0 if they are too many.
    function create(uint256 start, uint256 end) internal returns (address roster) {
        assembly ("memory-safe") {
            // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN; then the byte that stops
            mstore(sub(start, 32), or(CREATION, shl(64, add(sub(end, start), 1))))
            roster := create(0, sub(start, add(CREATION_BYTES, 1)), add(sub(end, start), add(CREATION_BYTES, 1)))
        }
    }

    /// @notice Reads a roster into memory.
    /// @return start Where its first entry is
    /// @return count How many there are
    function load(address roster) internal view returns (uint256 start, uint256 count) {
        assembly ("memory-safe") {
            start := mload(0x40)
            let size := sub(extcodesize(roster), 1)
            extcodecopy(roster, start, 1, size)
            mstore(0x40, and(add(add(start, size), 31), not(31)))
            count := div(size, ENTRY_BYTES)
        }
    }

    /// @param at Where in memory an entry is
    function get(uint256 at) internal pure returns (uint256 member, uint256 source, address meter) {
        assembly ("memory-safe") {
            member := mload(at)
            source := byte(20, member)
            member := shr(96, member)
            meter := shr(96, mload(add(at, 21)))
        }
    }
}
