// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Calendar} from "./Calendar.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IRegistry, Member, Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Book, Equilibrium} from "./libraries/Equilibrium.sol";
import {Record, RecordsLib, Stage} from "./libraries/Records.sol";
import {Step, StepsLib} from "./libraries/Steps.sol";

/// @title Market
/// @notice Takes bids and accepts a clearing only if it is the welfare optimum at the canonical price, whoever sends
/// it. To every member it guarantees that its bid is in the result exactly as placed, that the price is a function of
/// the bids alone, and that a lock it made comes back: by settlement, by cancelling, or by anyone's call once an
/// auction is void.
/// @custom:halt Nobody can: there is no owner and no pause. An auction nobody clears in time is void.
contract Market is IMarket, Calendar {
    uint256 private constant TRADER_BYTES = 20;
    uint256 private constant HEAD_BYTES = 4;

    IRegistry public immutable registry;
    IVault public immutable vault;
    address private immutable _deployer;

    uint256 private immutable _ringSize;
    uint256 private immutable _imbalanceMargin;
    int256 private immutable _minPrice;
    int256 private immutable _maxPrice;

    address public settlement;

    mapping(uint256 auction => AuctionState) private _auctions;
    mapping(address member => mapping(uint256 place => Record)) private _records;

    constructor(IRegistry registry_, IVault vault_) Calendar(registry_.parameters().schedule) {
        registry = registry_;
        vault = vault_;
        _deployer = msg.sender;
        Parameters memory p = registry_.parameters();
        _ringSize = p.ringSize;
        _imbalanceMargin = p.imbalanceMargin;
        _minPrice = p.minPrice;
        _maxPrice = p.maxPrice;
    }

    modifier onlySettlement() {
        if (msg.sender != settlement) revert NotConnectedCaller(msg.sender);
        _;
    }

    /// @notice The deployer names the settlement contract, once and for good.
    function connect(address settlement_) external {
        if (msg.sender != _deployer) revert NotConnectedCaller(msg.sender);
        if (settlement != address(0)) revert AlreadyConnected();
        settlement = settlement_;
        emit Connected(settlement_);
    }

    // ---------------------------------------------------------------- bids

    /// @inheritdoc IMarket
    function bid(uint256 auction, bytes calldata steps) external {
        _requireGateOpen(auction);
        Member memory member = registry.memberOf(msg.sender);
        if (!member.active) revert NotAMember(msg.sender);
        uint256 lock = RecordsLib.lockUp(_worstPayment(steps));
        uint256 previousLock = _vacate(auction, msg.sender);
        uint256 count = steps.length / StepsLib.SIZE;
        bytes32 digest = keccak256(abi.encodePacked(member.zone, uint16(count), steps));
        _records[msg.sender][auction % _ringSize] = RecordsLib.pack(Stage.Bid, _round(auction), lock, digest);
        vault.relock(msg.sender, previousLock, lock);
        emit BidPlaced(auction, msg.sender, member.zone, lock, steps);
    }

    /// @inheritdoc IMarket
    function cancel(uint256 auction) external {
        _requireGateOpen(auction);
        Record record = _liveBid(auction, msg.sender);
        _auctions[auction].liveBids -= 1;
        _retire(auction, msg.sender, record);
        emit BidCancelled(auction, msg.sender);
    }

    /// @inheritdoc IMarket
    function release(uint256 auction, address member) external {
        if (!isVoid(auction)) revert NotVoid(auction);
        Record record = _liveBid(auction, member);
        _retire(auction, member, record);
        emit BidReleased(auction, member);
    }

    /// @dev Makes room for a bid in the member's record, or reverts if the record is still needed.
    /// @return lock What the record stands for in the vault until now
    function _vacate(uint256 auction, address member) private returns (uint256 lock) {
        Record record = _records[member][auction % _ringSize];
        uint256 round = _round(auction);
        Stage stage = record.stage();
        if (stage == Stage.Bid && record.round() == round) return record.lock();
        if (stage == Stage.Bid || stage == Stage.Position) {
            uint256 earlier = record.round() * _ringSize + auction % _ringSize;
            // a void auction's lock passes straight to the new bid
            if (stage == Stage.Position || !isVoid(earlier)) revert RecordInUse(earlier, member);
            lock = record.lock();
            emit BidReleased(earlier, member);
        }
        uint16 live = _auctions[auction].liveBids;
        if (live == type(uint16).max) revert AuctionFull(auction);
        _auctions[auction].liveBids = live + 1;
    }

    function _liveBid(uint256 auction, address member) private view returns (Record record) {
        record = _records[member][auction % _ringSize];
        if (record.stage() != Stage.Bid || record.round() != _round(auction)) revert NoBid(auction, member);
    }

    function _retire(uint256 auction, address member, Record record) private {
        _records[member][auction % _ringSize] = record.advance(Stage.Spent, 0);
        vault.unlock(member, record.lock());
    }

    /// @dev Checks every step. The worst a step can cost is its limit times its quantity: a buyer never pays more
    /// than its limit, a seller at a negative limit never pays more than that; and the margin for imbalance.
    function _worstPayment(bytes calldata steps) private view returns (uint256 money) {
        uint256 length = steps.length;
        uint256 count = length / StepsLib.SIZE;
        if (length % StepsLib.SIZE != 0 || count > type(uint16).max) revert MalformedSteps(length);
        uint256 cursor = StepsLib.start(steps);
        uint256 slot;
        uint256 slotQuantity;
        unchecked {
            for (uint256 i; i != count; ++i) {
                Step step = StepsLib.at(cursor + i * StepsLib.SIZE);
                if (step.slot() != slot) {
                    if (step.slot() < slot) revert StepsNotAscending(i);
                    if (step.slot() >= _slots) revert StepSlotUnknown(i, step.slot());
                    slot = step.slot();
                    slotQuantity = 0;
                }
                int256 price = step.price();
                int256 quantity = step.quantity();
                if (quantity == 0) revert StepEmpty(i);
                if (price < _minPrice || price > _maxPrice) revert StepPriceOutOfBounds(i, price);
                uint256 size = uint256(quantity < 0 ? -quantity : quantity);
                slotQuantity += size;
                if (slotQuantity > uint256(uint32(type(int32).max))) revert SlotQuantityTooLarge(slot);
                int256 payment = -quantity * price;
                if (payment > 0) money += uint256(payment);
                money += size * _imbalanceMargin;
            }
        }
    }

    // ---------------------------------------------------------------- clearing

    /// @inheritdoc IMarket
    function clear(uint256 auction, bytes calldata prices, bytes calldata marginals, bytes calldata bids) external {
        AuctionState memory state = _auctions[auction];
        if (state.cleared) revert AlreadyCleared(auction);
        _requireClearingTime(auction);
        Book memory book = Equilibrium.open(prices, marginals, registry.zones(), _slots, _minPrice, _maxPrice);
        _fillAll(book, auction, bids, state.liveBids);
        uint256 income = Equilibrium.close(book, registry.grid());
        state.cleared = true;
        state.prices = bytes29(keccak256(prices));
        _auctions[auction] = state;
        vault.payNetwork(income);
        emit Cleared(auction, msg.sender, income, prices, marginals);
    }

    /// @dev [E5] Every live bid once: ascending, as recorded, none missing. Each record turns into a position.
    function _fillAll(Book memory book, uint256 auction, bytes calldata bids, uint256 liveBids) private {
        uint256 place = auction % _ringSize;
        uint256 round = _round(auction);
        uint256 fills = _allocatePosition();
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        address previous;
        uint256 found;
        while (cursor < end) {
            (address trader, uint256 zone, uint256 size) = _head(cursor);
            if (cursor + size > end) revert MalformedBids(bids.length);
            if (trader <= previous) revert E5_TradersNotAscending(trader);
            Record record = _records[trader][place];
            if (!record.matches(Stage.Bid, round, _hash(cursor + TRADER_BYTES, size - TRADER_BYTES))) {
                revert E5_BidNotRecorded(trader);
            }
            bytes32 position = _position(book, fills, trader, zone, cursor, size);
            _records[trader][place] = record.advance(Stage.Position, position);
            previous = trader;
            cursor += size;
            ++found;
        }
        if (found != liveBids) revert E5_BidsLeftOut(liveBids, found);
    }

    /// @dev Where a bid in calldata begins: its trader, zone and whole size in bytes.
    function _head(uint256 cursor) private pure returns (address trader, uint256 zone, uint256 size) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(cursor)
        }
        trader = address(uint160(word >> 96));
        zone = uint16(word >> 80);
        size = TRADER_BYTES + HEAD_BYTES + uint16(word >> 64) * StepsLib.SIZE;
    }

    /// @dev Fills one bundle and hashes the position that comes of it: `zone uint16 | cash int128 | fills int32[T]`.
    /// @param fills Where the packed fills lie in memory, 32 bytes before them being free for the rest
    function _position(Book memory book, uint256 fills, address trader, uint256 zone, uint256 cursor, uint256 size)
        private
        view
        returns (bytes32 hash)
    {
        uint256 fillBytes = 4 * _slots;
        assembly ("memory-safe") {
            calldatacopy(fills, calldatasize(), fillBytes)
        }
        uint256 head = TRADER_BYTES + HEAD_BYTES;
        int256 cash = Equilibrium.fill(book, trader, zone, cursor + head, (size - head) / StepsLib.SIZE, fills);
        assembly ("memory-safe") {
            mstore(sub(fills, 32), or(shl(128, zone), and(cash, sub(shl(128, 1), 1))))
            hash := keccak256(sub(fills, 18), add(fillBytes, 18))
        }
    }

    /// @dev Room for the packed fills, a word before them for the rest of a position and a word after them, which a
    /// write to their last 4 bytes reaches into.
    function _allocatePosition() private view returns (uint256 fills) {
        bytes memory room = new bytes(4 * _slots + 64);
        assembly ("memory-safe") {
            fills := add(room, 64)
        }
    }

    /// @dev keccak256 of a piece of calldata, through memory that stays free.
    function _hash(uint256 offset, uint256 length) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, offset, length)
            hash := keccak256(free, length)
        }
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IMarket
    function spend(uint256 auction, address member, bytes32 positionHash, bytes32 claimHash)
        external
        onlySettlement
        returns (uint256 lock)
    {
        Record record = _records[member][auction % _ringSize];
        if (!record.matches(Stage.Position, _round(auction), positionHash)) revert RecordMismatch(auction, member);
        _records[member][auction % _ringSize] = record.advance(Stage.Spent, claimHash);
        return record.lock();
    }

    /// @inheritdoc IMarket
    function draw(uint256 auction, address member, bytes32 claimHash) external onlySettlement {
        Record record = _records[member][auction % _ringSize];
        if (!record.matches(Stage.Spent, _round(auction), claimHash)) revert RecordMismatch(auction, member);
        _records[member][auction % _ringSize] = record.advance(Stage.Spent, 0);
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
        return _records[member][auction % _ringSize];
    }

    /// @inheritdoc IMarket
    function parameters() external view returns (Parameters memory) {
        return registry.parameters();
    }

    // ---------------------------------------------------------------- time

    function _requireGateOpen(uint256 auction) private view {
        uint256 from = opening(auction);
        uint256 closure = gateClosure(auction);
        if (block.timestamp < from || block.timestamp >= closure) revert GateNotOpen(auction, from, closure);
    }

    function _requireClearingTime(uint256 auction) private view {
        uint256 closure = gateClosure(auction);
        uint256 deadline = clearingDeadline(auction);
        if (block.timestamp < closure || block.timestamp >= deadline) {
            revert NotClearingTime(auction, closure, deadline);
        }
    }

    /// @dev How often the ring has turned when `auction` comes.
    function _round(uint256 auction) private view returns (uint256 round) {
        round = auction / _ringSize;
        if (round > RecordsLib.MAX_ROUND) revert MarketEnded();
    }
}
