// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {AuctionBook} from "./AuctionBook.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Bundles, Terms} from "./libraries/Bundles.sol";
import {Journals} from "./libraries/Journals.sol";
import {Packed} from "./libraries/Packed.sol";
import {Record, RecordsLib, Stage} from "./libraries/Records.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {StepsLib} from "./libraries/Steps.sol";

/// @title Bidding
/// @notice Takes bids in person, by signature and sealed, and takes them back. It guarantees that a bid is placed by its
/// member or on its signature only, that a signature counts once, in the order its member numbered it, and that no
/// member's bid, however bad, keeps out another's.
/// @custom:halt The registry's owner can stop new bids; cancelling and opening sealed ones goes on.
abstract contract Bidding is AuctionBook, EIP712 {
    bytes32 private constant BID_TYPEHASH =
        keccak256("Bid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes steps)");
    bytes32 private constant CANCELLATION_TYPEHASH =
        keccak256("Cancellation(address member,uint256 auction,uint256 nonce,uint256 deadline)");
    bytes32 private constant SEALED_BID_TYPEHASH =
        keccak256("SealedBid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes32 commitment)");

    uint256 private constant SIGNED_HEAD_BYTES = 31;

    uint256 private immutable _minQuantity;
    uint256 private immutable _maxSteps;
    uint256 private immutable _maxMembers;
    uint256 private immutable _imbalanceMargin;
    uint256 private immutable _sealDeposit;
    int256 internal immutable _minPrice;
    int256 internal immutable _maxPrice;

    /// @dev Bids as they are placed by one call.
    /// @param records Where in storage the members' records for the auction are
    /// @param liveBids Bids in the auction by now
    /// @param journal Where in memory the event's bytes start; `end` where they end by now
    struct Placing {
        uint256 auction;
        bytes32 records;
        uint256 round;
        uint256 liveBids;
        uint256 journal;
        uint256 end;
        Terms terms;
    }

    constructor() EIP712("Clearwatt Market", "1") {
        Parameters memory p = registry.parameters();
        _minQuantity = p.limits.minQuantity;
        _maxSteps = p.limits.maxSteps;
        _maxMembers = p.limits.maxMembers;
        _imbalanceMargin = p.imbalanceMargin;
        _sealDeposit = RecordsLib.lockUp(p.sealDeposit);
        if (_sealDeposit > RecordsLib.MAX_LOCK) revert DepositTooLarge(_sealDeposit);
        _minPrice = p.minPrice;
        _maxPrice = p.maxPrice;
    }

    // ---------------------------------------------------------------- open bids

    // Below, records and counts are written after calls to the vault, which says where a bid comes from and whether its
    // member can stand for it. The vault is the community's own and calls nobody; members' contracts are asked for their
    // signature by a static call only.

    /// @inheritdoc IMarket
    // slither-disable-next-line reentrancy-no-eth
    function bid(uint256 auction, bytes calldata steps) external {
        _requireBidding(auction, false);
        Placing memory placing = _begin(auction, steps.length);
        _placeBundle(placing, msg.sender, RecordsLib.LAST_NONCE, StepsLib.start(steps), _countOf(steps));
        _finish(placing);
    }

    /// @inheritdoc IMarket
    // slither-disable-next-line reentrancy-no-eth
    function bidSigned(uint256 auction, bytes calldata bids) external {
        _requireBidding(auction, false);
        Placing memory placing = _begin(auction, bids.length);
        bytes32 domain = _domainSeparatorV4();
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        while (cursor < end) cursor = _placeSigned(placing, domain, cursor, end);
        _finish(placing);
    }

    /// @dev Places one signed bid or logs why not.
    /// @param cursor Where it starts in calldata
    /// @param end Where all of them end
    /// @return next Where the next one starts
    function _placeSigned(Placing memory placing, bytes32 domain, uint256 cursor, uint256 end)
        private
        returns (uint256 next)
    {
        uint256 word = uint256(Packed.word(cursor));
        address member = address(uint160(word >> 96));
        uint256 nonce = uint16(word >> 80);
        uint256 count = uint16(word >> 8);
        uint256 steps;
        uint256 signature;
        unchecked {
            steps = cursor + SIGNED_HEAD_BYTES;
            signature = steps + count * StepsLib.SIZE;
            next = signature + uint16(word >> 24);
        }
        if (next > end) revert MalformedSignedBids(end - cursor);
        bytes4 refusal;
        if (block.timestamp > uint40(word >> 40)) {
            refusal = SignatureExpired.selector;
        } else if (nonce >= RecordsLib.LAST_NONCE) {
            refusal = NonceUsed.selector;
        } else {
            bytes32 digest = _bidDigest(domain, member, placing.auction, nonce, uint40(word >> 40), steps, signature);
            refusal = Signatures.isValid(member, digest, signature, next)
                ? _placeBundle(placing, member, nonce, steps, count)
                : WrongSignature.selector;
        }
        // slither-disable-next-line reentrancy-events
        if (refusal != 0) emit BidRefused(placing.auction, member, refusal);
    }

    /// @dev The EIP-712 digest of a bid whose steps lie between `steps` and `end` in calldata, through free memory.
    function _bidDigest(
        bytes32 domain,
        address member,
        uint256 auction,
        uint256 nonce,
        uint256 deadline,
        uint256 steps,
        uint256 end
    ) private pure returns (bytes32 digest) {
        bytes32 typeHash = BID_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, steps, sub(end, steps))
            let stepsHash := keccak256(free, sub(end, steps))
            mstore(free, typeHash)
            mstore(add(free, 0x20), member)
            mstore(add(free, 0x40), auction)
            mstore(add(free, 0x60), nonce)
            mstore(add(free, 0x80), deadline)
            mstore(add(free, 0xa0), stepsHash)
            let structHash := keccak256(free, 0xc0)
            mstore(free, shl(240, 0x1901))
            mstore(add(free, 0x02), domain)
            mstore(add(free, 0x22), structHash)
            digest := keccak256(free, 0x42)
        }
    }

    function _slotOf(mapping(address => Slot) storage records) private pure returns (bytes32 slot) {
        assembly ("memory-safe") {
            slot := records.slot
        }
    }

    function _ring(bytes32 slot) private pure returns (mapping(address => Slot) storage records) {
        assembly ("memory-safe") {
            records.slot := slot
        }
    }

    function _countOf(bytes calldata steps) private pure returns (uint256) {
        if (steps.length % StepsLib.SIZE != 0) revert MalformedSteps(steps.length);
        return steps.length / StepsLib.SIZE;
    }

    /// @dev Places one bundle. In person (nonce `LAST_NONCE`) it reverts where it can't; by signature it then changes
    /// nothing and says why not.
    /// @param steps Where in calldata the `count` steps start
    /// @return refusal The selector of the error that stands against it; 0 = it is placed
    // slither-disable-next-line reentrancy-no-eth,reentrancy-events
    function _placeBundle(Placing memory placing, address member, uint256 nonce, uint256 steps, uint256 count)
        private
        returns (bytes4 refusal)
    {
        bool inPerson = nonce == RecordsLib.LAST_NONCE;
        uint256 lock;
        (lock, refusal) = _lockFor(placing.terms, steps, count, inPerson);
        if (refusal != 0) return refusal;
        mapping(address => Slot) storage records = _ring(placing.records);
        Slot storage slot = records[member];
        Record record = slot.record;
        bool replaces = record.at(Stage.Bid, placing.round);
        if (placing.liveBids >= _maxMembers && !replaces) {
            if (inPerson) revert AuctionFull(placing.auction);
            return AuctionFull.selector;
        }
        if (!inPerson && nonce <= _lastNonce(record, placing.round)) return NonceUsed.selector;
        (bool free, uint256 previous) = _vacate(record, placing.auction, placing.round);
        if (!free) {
            if (inPerson) revert RecordInUse(_earlier(record, placing.auction), member);
            return RecordInUse.selector;
        }
        uint256 zone;
        // slither-disable-next-line calls-loop
        if (inPerson) zone = vault.relock(member, previous, lock);
        else (refusal, zone) = _tryToReserve(member, previous, lock);
        if (refusal != 0) return refusal;
        if (previous != 0 && !replaces) _noteReleased(record, placing.auction, member);
        bytes32 digest = _enter(placing, member, zone, steps, count);
        slot.record = RecordsLib.pack(Stage.Bid, placing.round, lock, nonce, digest);
        unchecked {
            if (!replaces) ++placing.liveBids; // at most `maxMembers`, see above
        }
    }

    /// @dev `vault.tryToReserve`, its arguments and answer through memory that stays free: the call every signed bid makes.
    function _tryToReserve(address member, uint256 previous, uint256 next)
        private
        returns (bytes4 refusal, uint256 zone)
    {
        address callee = address(vault);
        bytes32 selector = IVault.tryToReserve.selector;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, selector)
            mstore(add(free, 0x04), member)
            mstore(add(free, 0x24), previous)
            mstore(add(free, 0x44), next)
            // the vault refuses by its answer and never reverts here, unless gas runs out
            if iszero(call(gas(), callee, 0, free, 0x64, 0, 0x40)) { revert(0, 0) }
            refusal := mload(0)
            zone := mload(0x20)
        }
    }

    /// @dev What a bundle locks, or what is wrong with it.
    function _lockFor(Terms memory terms, uint256 steps, uint256 count, bool strict)
        private
        view
        returns (uint256 lock, bytes4 unfit)
    {
        if (count > _maxSteps) {
            if (strict) revert TooManySteps(count, _maxSteps);
            return (0, TooManySteps.selector);
        }
        (uint256 money, bool sound) = Bundles.measure(terms, steps, count);
        if (!sound) {
            if (strict) Bundles.requireSound(terms, steps, count);
            return (0, BundleUnsound.selector);
        }
        // a bundle's total has 31 bits, a price 23 and the margin 24: no lock is more than a record can say
        lock = RecordsLib.lockUp(money);
    }

    /// @dev Writes the bid into the journal, `trader | zone | count | steps`.
    /// @return digest Of all but the trader
    function _enter(Placing memory placing, address member, uint256 zone, uint256 steps, uint256 count)
        private
        pure
        returns (bytes32 digest)
    {
        uint256 at = placing.end;
        unchecked {
            uint256 head = uint256(uint160(member)) << 32 | zone << 16 | count;
            uint256 size = count * StepsLib.SIZE;
            assembly ("memory-safe") {
                mstore(at, shl(64, head))
                calldatacopy(add(at, 24), steps, size)
                digest := keccak256(add(at, 20), add(size, 4))
            }
            placing.end = at + 24 + size;
        }
    }

    /// @param size At least the bytes of the bids to come, less 24
    function _begin(uint256 auction, uint256 size) private view returns (Placing memory placing) {
        placing.auction = auction;
        placing.records = _slotOf(_records[_place(auction)]);
        placing.round = _round(auction);
        placing.liveBids = _auctions[auction].liveBids;
        placing.terms = Terms(_slots, _minPrice, _maxPrice, _minQuantity, _imbalanceMargin);
        placing.journal = Journals.open(size + 24);
        placing.end = placing.journal;
    }

    /// @dev Writes what has changed of the auction, and logs the journal.
    function _finish(Placing memory placing) private {
        uint256 auction = placing.auction;
        if (_auctions[auction].liveBids != placing.liveBids) {
            _auctions[auction].liveBids = uint16(placing.liveBids);
        }
        Journals.log(placing.journal, placing.end, BidsPlaced.selector, auction);
    }

    // ---------------------------------------------------------------- taking back

    /// @inheritdoc IMarket
    function cancel(uint256 auction) external {
        _cancel(auction, msg.sender, RecordsLib.LAST_NONCE);
    }

    /// @inheritdoc IMarket
    function cancelSigned(
        uint256 auction,
        address member,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 structHash = keccak256(abi.encode(CANCELLATION_TYPEHASH, member, auction, nonce, deadline));
        _requireSigned(auction, member, nonce, deadline, structHash, signature);
        _cancel(auction, member, nonce);
    }

    function _cancel(uint256 auction, address member, uint256 nonce) private {
        _requireGateOpen(auction);
        Record record = _records[_place(auction)][member].record;
        (bool free, uint256 lock) = _vacate(record, auction, _round(auction));
        if (!free) revert RecordInUse(_earlier(record, auction), member);
        uint256 round = _round(auction);
        if (record.at(Stage.Bid, round)) _auctions[auction].liveBids -= 1;
        _records[_place(auction)][member].record = RecordsLib.pack(Stage.Spent, round, 0, nonce, 0);
        _noteReleased(record, auction, member);
        emit BidCancelled(auction, member);
        vault.unlock(member, lock);
    }

    // ---------------------------------------------------------------- sealed bids

    /// @inheritdoc IMarket
    function seal(uint256 auction, bytes32 commitment) external {
        _seal(auction, msg.sender, RecordsLib.LAST_NONCE, commitment);
    }

    /// @inheritdoc IMarket
    function sealSigned(
        uint256 auction,
        bytes32 commitment,
        address member,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 structHash =
            keccak256(abi.encode(SEALED_BID_TYPEHASH, member, auction, nonce, deadline, commitment));
        _requireSigned(auction, member, nonce, deadline, structHash, signature);
        _seal(auction, member, nonce, commitment);
    }

    function _seal(uint256 auction, address member, uint256 nonce, bytes32 commitment) private {
        _requireBidding(auction, true);
        Record record = _records[_place(auction)][member].record;
        (bool free, uint256 previous) = _vacate(record, auction, _round(auction));
        if (!free) revert RecordInUse(_earlier(record, auction), member);
        _records[_place(auction)][member].record =
            RecordsLib.pack(Stage.Sealed, _round(auction), _sealDeposit, nonce, commitment);
        _noteReleased(record, auction, member);
        emit BidSealed(auction, member, commitment);
        // from which zone the bid comes is asked when it is opened
        // slither-disable-next-line unused-return
        vault.relock(member, previous, _sealDeposit);
    }

    /// @inheritdoc IMarket
    /// @dev Asks for no seat and passes over pausing: who sealed in time may open, whatever has happened since.
    // slither-disable-next-line reentrancy-no-eth
    function open(uint256 auction, address member, bytes32 salt, bytes calldata steps) external {
        if (block.timestamp < gateClosure(auction) || block.timestamp >= clearingStart(auction)) {
            revert NotRevealTime(auction, gateClosure(auction), clearingStart(auction));
        }
        Placing memory placing = _begin(auction, steps.length);
        if (placing.liveBids == type(uint16).max) revert AuctionFull(auction);
        Record record = _records[_place(auction)][member].record;
        bytes32 commitment =
            keccak256(abi.encode(block.chainid, address(this), auction, member, salt, keccak256(steps)));
        if (!record.matches(Stage.Sealed, placing.round, commitment)) revert WrongOpening(auction, member);
        (uint256 start, uint256 count) = (StepsLib.start(steps), _countOf(steps));
        (uint256 lock,) = _lockFor(placing.terms, start, count, true);
        uint256 zone = vault.adjust(member, record.lock(), lock);
        bytes32 digest = _enter(placing, member, zone, start, count);
        _records[_place(auction)][member].record =
            RecordsLib.pack(Stage.Bid, placing.round, lock, record.nonce(), digest);
        ++placing.liveBids;
        _finish(placing);
    }

    /// @inheritdoc IMarket
    function forfeit(uint256 auction, address member) external {
        if (block.timestamp < clearingStart(auction)) {
            revert NotClearingTime(auction, clearingStart(auction), clearingDeadline(auction));
        }
        Record record = _records[_place(auction)][member].record;
        if (!record.at(Stage.Sealed, _round(auction))) revert NoBid(auction, member);
        _records[_place(auction)][member].record = record.advance(Stage.Spent, 0);
        emit SealForfeited(auction, member);
        vault.forfeit(member, record.lock());
    }

    // ---------------------------------------------------------------- what every bid must keep

    function _requireBidding(uint256 auction, bool asSealed) private view {
        if (paused) revert BiddingPaused();
        if (_sealed() != asSealed) {
            if (asSealed) revert OpenMarket();
            revert SealedMarket();
        }
        _requireGateOpen(auction);
    }

    function _requireSigned(
        uint256 auction,
        address member,
        uint256 nonce,
        uint256 deadline,
        bytes32 structHash,
        bytes calldata signature
    ) private view {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        uint256 last = _lastNonce(_records[_place(auction)][member].record, _round(auction));
        if (nonce <= last || nonce >= RecordsLib.LAST_NONCE) revert NonceUsed(member, last, RecordsLib.LAST_NONCE);
        uint256 start = StepsLib.start(signature);
        if (!Signatures.isValid(member, _hashTypedDataV4(structHash), start, start + signature.length)) {
            revert WrongSignature(member);
        }
    }

    /// @dev The nonce of the last signature that counted in this auction; a record of an earlier one says nothing.
    function _lastNonce(Record record, uint256 round) private pure returns (uint256) {
        return record.round() == round ? record.nonce() : 0;
    }
}
