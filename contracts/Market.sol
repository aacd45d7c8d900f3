// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AuctionBook} from "./AuctionBook.sol";
import {Bidding} from "./Bidding.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Packed} from "./libraries/Packed.sol";
import {Record, Stage} from "./libraries/Records.sol";

/// @title Market
/// @notice Takes bids and keeps them until they are settled. To every member it guarantees that a cleared auction's
/// result was made of its bid exactly as placed, and that a lock it made comes back: by settlement, by cancelling, or
/// by anyone's call once an auction is void.
/// @custom:halt The registry's owner can stop new bids; what is placed is cleared and settled as ever. An auction nobody
/// clears in time is void.
contract Market is Bidding {
    using Packed for bytes;

    uint256 private constant ENTRY_BYTES = 52;
    uint256 private constant ACCEPTED_BYTES = 84;
    uint256 private constant SPENDING_BYTES = 84;

    constructor(IRegistry registry_, IVault vault_) AuctionBook(registry_, vault_) {}

    // ---------------------------------------------------------------- clearing

    /// @inheritdoc IMarket
    function accept(uint256 auction, bytes32 prices, bytes calldata entries) external only(clearing) {
        uint256 liveBids = _accept(auction, prices);
        mapping(address => Slot) storage records = _records[_place(auction)];
        uint256 round = _round(auction);
        uint256 at = entries.start();
        uint256 end = at + entries.length;
        address previous;
        unchecked {
            for (; at < end; at += ACCEPTED_BYTES) {
                address trader = address(bytes20(Packed.word(at)));
                if (trader <= previous) revert E5_TradersNotAscending(trader);
                Slot storage slot = records[trader];
                Record record = slot.record;
                if (!record.matches(Stage.Bid, round, Packed.word(at + 20))) revert E5_BidNotRecorded(trader);
                slot.record = record.advance(Stage.Position, Packed.word(at + 52));
                previous = trader;
            }
        }
        uint256 found = entries.length / ACCEPTED_BYTES;
        if (found != liveBids) revert E5_BidsLeftOut(liveBids, found);
    }

    /// @inheritdoc IMarket
    function acceptChunked(uint256 auction, bytes32 prices) external only(clearing) {
        _accept(auction, prices);
    }

    function _accept(uint256 auction, bytes32 prices) private returns (uint256 liveBids) {
        AuctionState memory state = _auctions[auction];
        if (state.cleared) revert AlreadyCleared(auction);
        _requireClearingTime(auction);
        liveBids = state.liveBids;
        state.cleared = true;
        state.prices = bytes29(prices);
        _auctions[auction] = state;
    }

    /// @inheritdoc IMarket
    function enterPositions(uint256 auction, bytes calldata entries) external only(clearing) {
        uint256 place = _place(auction);
        uint256 round = _round(auction);
        for (uint256 at; at < entries.length; at += ENTRY_BYTES) {
            (address trader, bytes32 positionHash) = _entry(entries, at);
            Record record = _records[place][trader].record;
            if (record.at(Stage.Bid, round)) {
                _records[place][trader].record = record.advance(Stage.Position, positionHash);
            }
        }
    }

    function _entry(bytes calldata entries, uint256 at) private pure returns (address trader, bytes32 hash) {
        assembly ("memory-safe") {
            trader := shr(96, calldataload(add(entries.offset, at)))
            hash := calldataload(add(add(entries.offset, at), 20))
        }
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IMarket
    function spend(uint256 auction, bytes calldata entries)
        external
        only(settlement)
        returns (uint256[] memory locks)
    {
        mapping(address => Slot) storage records = _records[_place(auction)];
        uint256 round = _round(auction);
        uint256 at = entries.start();
        uint256 count = entries.length / SPENDING_BYTES;
        locks = new uint256[](count);
        uint256 lock = Packed.wordsOf(locks);
        unchecked {
            for (uint256 end = at + count * SPENDING_BYTES; at < end; at += SPENDING_BYTES) {
                address member = address(bytes20(Packed.word(at)));
                Slot storage slot = records[member];
                Record record = slot.record;
                if (!record.matches(Stage.Position, round, Packed.word(at + 20))) revert RecordMismatch(auction, member);
                slot.record = record.advance(Stage.Spent, Packed.word(at + 52));
                Packed.put(lock, record.lock());
                lock += 32;
            }
        }
    }

    /// @inheritdoc IMarket
    function draw(uint256 auction, address member, bytes32 claim) external only(settlement) {
        Record record = _records[_place(auction)][member].record;
        if (!record.matches(Stage.Spent, _round(auction), claim)) revert RecordMismatch(auction, member);
        _records[_place(auction)][member].record = record.advance(Stage.Spent, 0);
    }
}
