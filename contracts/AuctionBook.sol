// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Calendar} from "./Calendar.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Record, RecordsLib, Stage} from "./libraries/Records.sol";

/// @title AuctionBook
/// @notice What the market remembers: of every auction one slot, of every member a ring of records, one slot each. It
/// guarantees that a record still needed is never overwritten, and that a lock in a void auction comes back by anyone's
/// call.
/// @custom:halt The registry's owner can stop new bids, and nothing else.
abstract contract AuctionBook is IMarket, Calendar {
    IRegistry public immutable registry;
    IVault public immutable vault;
    address private immutable _deployer;
    uint256 private immutable _ringSize;

    address public settlement;
    address public clearing;
    bool public paused;

    /// @dev Where a record is kept, so that it need not be worked out twice.
    struct Slot {
        Record record;
    }

    mapping(uint256 auction => AuctionState) internal _auctions;
    mapping(uint256 place => mapping(address member => Slot)) internal _records;

    constructor(IRegistry registry_, IVault vault_) Calendar(registry_.parameters().schedule) {
        registry = registry_;
        vault = vault_;
        _deployer = msg.sender;
        _ringSize = registry_.parameters().ringSize;
    }

    modifier only(address caller) {
        if (msg.sender != caller) revert NotConnectedCaller(msg.sender);
        _;
    }

    /// @notice The deployer names the contracts that may advance records, once and for good.
    function connect(address settlement_, address clearing_) external only(_deployer) {
        if (settlement != address(0)) revert AlreadyConnected();
        if (settlement_ == address(0) || clearing_ == address(0)) revert NotConnectedCaller(address(0));
        settlement = settlement_;
        clearing = clearing_;
        emit Connected(settlement_, clearing_);
    }

    /// @inheritdoc IMarket
    function setPaused(bool paused_) external {
        if (msg.sender != registry.owner()) revert NotOwner(msg.sender);
        paused = paused_;
        emit PausedSet(paused_);
    }

    // ---------------------------------------------------------------- records

    /// @dev What a member's record stands for in the vault, if a bid in this auction may take its place.
    /// @return free Whether it may: the record is not needed for an earlier auction any more
    /// @return lock Locked for the bid in it, live in this auction or left over from a void one, money units
    function _vacate(Record record, uint256 auction, uint256 round)
        internal
        view
        returns (bool free, uint256 lock)
    {
        if (record.idle()) return (true, 0);
        if (record.round() == round) return (true, record.lock());
        if (record.stage() != Stage.Bid || !isVoid(_earlier(record, auction))) return (false, 0);
        return (true, record.lock());
    }

    /// @dev Logs that a void auction's lock has passed to the bid that took the record's place, if so it was.
    function _noteReleased(Record record, uint256 auction, address member) internal {
        if (record.stage() == Stage.Bid && record.round() != _round(auction)) {
            emit BidReleased(_earlier(record, auction), member);
        }
    }

    /// @dev The auction whose bid the record holds, where that is not `auction` itself.
    function _earlier(Record record, uint256 auction) internal view returns (uint256) {
        return record.round() * _ringSize + _place(auction);
    }

    /// @inheritdoc IMarket
    /// @dev The vault is the community's own and calls nobody.
    // slither-disable-next-line reentrancy-no-eth,reentrancy-events
    function release(uint256 auction, address[] calldata members) external {
        if (!isVoid(auction)) revert NotVoid(auction);
        uint256 place = _place(auction);
        uint256 round = _round(auction);
        uint256 released;
        for (uint256 i; i < members.length; ++i) {
            address member = members[i];
            Record record = _records[place][member].record;
            if (!record.at(Stage.Bid, round)) continue;
            _records[place][member].record = record.advance(Stage.Spent, 0);
            emit BidReleased(auction, member);
            // slither-disable-next-line calls-loop
            vault.unlock(member, record.lock());
            ++released;
        }
        if (released == 0) revert NothingToRelease(auction);
    }

    /// @dev A member's place in the ring for `auction`.
    function _place(uint256 auction) internal view returns (uint256) {
        return auction % _ringSize;
    }

    /// @dev How often the ring has turned when `auction` comes.
    function _round(uint256 auction) internal view returns (uint256 round) {
        round = auction / _ringSize;
        if (round > RecordsLib.MAX_ROUND) revert MarketEnded();
    }

    // ---------------------------------------------------------------- time

    function _requireGateOpen(uint256 auction) internal view {
        uint256 from = opening(auction);
        uint256 closure = gateClosure(auction);
        if (block.timestamp < from || block.timestamp >= closure) revert GateNotOpen(auction, from, closure);
    }

    function _requireClearingTime(uint256 auction) internal view {
        uint256 start = clearingStart(auction);
        uint256 deadline = clearingDeadline(auction);
        if (block.timestamp < start || block.timestamp >= deadline) {
            revert NotClearingTime(auction, start, deadline);
        }
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IMarket
    function auctionOf(uint256 auction) external view returns (AuctionState memory) {
        return _auctions[auction];
    }

    /// @inheritdoc IMarket
    function isVoid(uint256 auction) public view returns (bool) {
        return !_auctions[auction].cleared && block.timestamp >= clearingDeadline(auction);
    }

    /// @inheritdoc IMarket
    function recordOf(uint256 auction, address member) external view returns (Record) {
        return _records[_place(auction)][member].record;
    }
}
