// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice The life of one member's bid in one auction, in one storage slot of a ring that is reused:
/// `digest 181 | nonce 12 | lock 40 | round 20 | stage 3`, most significant first.
/// @dev The digest is the head of a keccak256: of the sealed bid, of the bid while it is live, of the position once the
/// auction is cleared. 181 bits leave a collision at 2^90 hashes. Once it is settled, the energy claim stands there itself,
/// which has zeros where the head of a hash ends. The lock counts units of 2^20 money units (about a hundredth of the currency), rounded up. A record is never zeroed, so that writing
/// it is an update.
type Record is uint256;

using RecordsLib for Record global;

/// @notice Where a record stands. `Free`: never used. `Spent`: settled, cancelled, released or forfeited.
enum Stage {
    Free,
    Sealed,
    Bid,
    Position,
    Spent
}

/// @notice Packing and reading of `Record`.
library RecordsLib {
    uint256 private constant STAGE_MASK = (1 << 3) - 1;
    uint256 private constant ROUND_SHIFT = 3;
    uint256 private constant LOCK_SHIFT = 23;
    uint256 private constant LOCK_MASK = (1 << 40) - 1;
    uint256 private constant LOCK_UNIT_BITS = 20;
    uint256 private constant NONCE_SHIFT = 63;
    uint256 private constant DIGEST_MASK = ~uint256((1 << 75) - 1);
    uint256 private constant IDENTITY_MASK = DIGEST_MASK | ((1 << LOCK_SHIFT) - 1);

    /// @notice Rounds a record can tell apart; a market whose ring turned this often takes no more bids.
    uint256 internal constant MAX_ROUND = (1 << 20) - 1;

    /// @notice The nonce that no signature can exceed: whoever acts in person ends signing for this auction.
    uint256 internal constant LAST_NONCE = (1 << 12) - 1;

    /// @notice The most money a record can hold.
    uint256 internal constant MAX_LOCK = LOCK_MASK << LOCK_UNIT_BITS;

    /// @notice A record; `lock_` must come from `lockUp` and not exceed `MAX_LOCK`.
    function pack(Stage stage_, uint256 round_, uint256 lock_, uint256 nonce_, bytes32 digest)
        internal
        pure
        returns (Record)
    {
        return Record.wrap(
            (uint256(digest) & DIGEST_MASK) | (nonce_ << NONCE_SHIFT) | (lock_ >> LOCK_UNIT_BITS << LOCK_SHIFT)
                | (round_ << ROUND_SHIFT) | uint256(stage_)
        );
    }

    /// @notice `money`, at most 2^128, rounded up to whole units; above `MAX_LOCK` no record can hold it.
    function lockUp(uint256 money) internal pure returns (uint256) {
        unchecked {
            return (money + (1 << LOCK_UNIT_BITS) - 1) >> LOCK_UNIT_BITS << LOCK_UNIT_BITS;
        }
    }

    /// @notice The same record at its next stage with another digest.
    function advance(Record record, Stage stage_, bytes32 digest) internal pure returns (Record) {
        uint256 kept = Record.unwrap(record) & ~(DIGEST_MASK | STAGE_MASK);
        return Record.wrap((uint256(digest) & DIGEST_MASK) | kept | uint256(stage_));
    }

    function stage(Record record) internal pure returns (Stage) {
        return Stage(Record.unwrap(record) & STAGE_MASK);
    }

    /// @notice Whether nothing depends on the record: it is `Free` or `Spent`, the two stages with no lower bit set.
    function idle(Record record) internal pure returns (bool) {
        return Record.unwrap(record) & 3 == 0;
    }

    /// @notice How often the ring had turned when the record was written.
    function round(Record record) internal pure returns (uint256) {
        return (Record.unwrap(record) >> ROUND_SHIFT) & MAX_ROUND;
    }

    /// @notice Money locked for the bid, a multiple of 2^20.
    function lock(Record record) internal pure returns (uint256) {
        return ((Record.unwrap(record) >> LOCK_SHIFT) & LOCK_MASK) << LOCK_UNIT_BITS;
    }

    /// @notice Nonce of the last signature that counted for this auction.
    function nonce(Record record) internal pure returns (uint256) {
        return (Record.unwrap(record) >> NONCE_SHIFT) & LAST_NONCE;
    }

    /// @notice Whether the record is of this stage and round, whatever it holds.
    function at(Record record, Stage stage_, uint256 round_) internal pure returns (bool) {
        return Record.unwrap(record) & ((1 << LOCK_SHIFT) - 1) == (round_ << ROUND_SHIFT) | uint256(stage_);
    }

    /// @notice Whether the record is of this stage and round and holds the head of `hash`.
    function matches(Record record, Stage stage_, uint256 round_, bytes32 hash) internal pure returns (bool) {
        uint256 expected = (uint256(hash) & DIGEST_MASK) | (round_ << ROUND_SHIFT) | uint256(stage_);
        return Record.unwrap(record) & IDENTITY_MASK == expected;
    }
}
