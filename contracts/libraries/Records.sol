// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice The life of one member's bid in one auction, in one storage slot of a ring that is reused:
/// `digest 184 | lock 48 | round 22 | stage 2`, most significant first.
/// @dev The digest is the head of a keccak256: of the bid while it is live, of the position once the auction
/// is cleared, of the energy claim once it is settled. 184 bits leave a collision at 2^92 hashes. The lock
/// counts units of 2^16 money units, rounded up. A record is never zeroed, so that writing it is an update.
type Record is uint256;

using RecordsLib for Record global;

/// @notice Where a record stands. `Free`: never used. `Spent`: settled, cancelled or released.
enum Stage {
    Free,
    Bid,
    Position,
    Spent
}

/// @notice Packing and reading of `Record`.
library RecordsLib {
    uint256 private constant STAGE_BITS = 2;
    uint256 private constant ROUND_BITS = 22;
    uint256 private constant LOCK_SHIFT = STAGE_BITS + ROUND_BITS;
    uint256 private constant LOCK_BITS = 48;
    uint256 private constant LOCK_UNIT_BITS = 16;
    uint256 private constant DIGEST_MASK = ~uint256((1 << (LOCK_SHIFT + LOCK_BITS)) - 1);

    /// @notice Rounds a record can tell apart; a market whose ring turned this often takes no more bids.
    uint256 internal constant MAX_ROUND = (1 << ROUND_BITS) - 1;

    error LockTooLarge(uint256 money);

    /// @notice A record; `lock_` must come from `lockUp`.
    function pack(Stage stage_, uint256 round_, uint256 lock_, bytes32 digest) internal pure returns (Record) {
        return Record.wrap(
            (uint256(digest) & DIGEST_MASK) | (lock_ >> LOCK_UNIT_BITS << LOCK_SHIFT) | (round_ << STAGE_BITS)
                | uint256(stage_)
        );
    }

    /// @notice `money` rounded up to what a record can hold.
    function lockUp(uint256 money) internal pure returns (uint256) {
        uint256 units = (money + (1 << LOCK_UNIT_BITS) - 1) >> LOCK_UNIT_BITS;
        if (units >> LOCK_BITS != 0) revert LockTooLarge(money);
        return units << LOCK_UNIT_BITS;
    }

    /// @notice The same record at its next stage with another digest.
    function advance(Record record, Stage stage_, bytes32 digest) internal pure returns (Record) {
        uint256 kept = Record.unwrap(record) & ~DIGEST_MASK & ~uint256((1 << STAGE_BITS) - 1);
        return Record.wrap((uint256(digest) & DIGEST_MASK) | kept | uint256(stage_));
    }

    function stage(Record record) internal pure returns (Stage) {
        return Stage(Record.unwrap(record) & ((1 << STAGE_BITS) - 1));
    }

    /// @notice How often the ring had turned when the record was written.
    function round(Record record) internal pure returns (uint256) {
        return (Record.unwrap(record) >> STAGE_BITS) & MAX_ROUND;
    }

    /// @notice Money locked for the bid, a multiple of 2^16.
    function lock(Record record) internal pure returns (uint256) {
        return ((Record.unwrap(record) >> LOCK_SHIFT) & ((1 << LOCK_BITS) - 1)) << LOCK_UNIT_BITS;
    }

    /// @notice Whether the record is of this stage and round and holds the head of `hash`.
    function matches(Record record, Stage stage_, uint256 round_, bytes32 hash) internal pure returns (bool) {
        uint256 lockMask = ((1 << LOCK_BITS) - 1) << LOCK_SHIFT;
        uint256 expected = (uint256(hash) & DIGEST_MASK) | (round_ << STAGE_BITS) | uint256(stage_);
        return Record.unwrap(record) & ~lockMask == expected;
    }
}
