// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Calendar} from "./Calendar.sol";
import {Clearing} from "./Clearing.sol";
import {IChunkedClearing} from "./interfaces/IChunkedClearing.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Book, Equilibrium} from "./libraries/Equilibrium.sol";
import {Stage} from "./libraries/Records.sol";
import {StepsLib} from "./libraries/Steps.sol";

/// @notice What a session remembers besides the book.
/// @param previous Trader of the last bundle
/// @param found Bundles so far
/// @param chunks Chunks so far
/// @param claim Binds prices and marginal volumes
/// @param chain Binds every chunk's entries and their order
struct Progress {
    address previous;
    uint256 found;
    uint256 chunks;
    bytes32 claim;
    bytes32 chain;
}

/// @title ChunkedClearing
/// @notice Clears auctions in one transaction or, where they don't fit one, in chunks, by the same rules to the letter. To
/// every member it guarantees that its bid is in the result exactly as placed, at prices that depend on the bids alone,
/// and that anyone can enter its position in a transaction of bounded size, whoever cleared. To every solver it
/// guarantees that nobody else's session touches its own.
/// @dev A chunk is checked against records as they are when it comes. They are the same at `close`: the gate is closed,
/// so nothing is placed, replaced, cancelled or opened any more; a record whose bid is neither settled nor void is not
/// given to a later auction; and what does change a live bid's record, another solver's accepted clearing or, once the
/// auction is void, a release, also makes `close` impossible for good.
/// @custom:halt Nobody can. An auction nobody clears in time is void.
contract ChunkedClearing is Clearing, IChunkedClearing {
    /// @notice Bundles one chunk may have, and chunks one session: whatever solver closes, with `enter`'s calldata then
    /// below 64 KiB and its gas below 2^23, no position is out of reach.
    uint256 public constant MAX_CHUNK_BUNDLES = 1024;
    uint256 public constant MAX_CHUNKS = 256;

    uint256 private constant ENTRY_BYTES = 52;
    uint256 private constant PROGRESS_WORDS = 3;
    // Slither does not see it used in a slice
    // slither-disable-next-line unused-state
    uint256 private constant PROGRESS_BYTES = 96;

    uint256 private immutable _ringSize;

    /// @inheritdoc IChunkedClearing
    mapping(uint256 auction => mapping(address solver => bytes32)) public sessionOf;

    /// @inheritdoc IChunkedClearing
    mapping(uint256 auction => bytes32) public chunksOf;

    constructor(IRegistry registry_, IVault vault_, IMarket market_) Clearing(registry_, vault_, market_) {
        _ringSize = registry_.parameters().ringSize;
    }

    // ---------------------------------------------------------------- clearing

    /// @inheritdoc IChunkedClearing
    function begin(uint256 auction, bytes calldata prices, bytes calldata marginals)
        external
        returns (bytes memory state)
    {
        _requireClearable(auction);
        Book memory book = Equilibrium.open(prices, marginals, _zones, _slots, _minPrice, _maxPrice);
        Progress memory progress;
        progress.claim = _claim(prices, marginals);
        emit ClearingBegun(auction, msg.sender);
        return _suspend(auction, progress, book);
    }

    /// @inheritdoc IChunkedClearing
    function fill(uint256 auction, bytes calldata state, bytes calldata bids) external returns (bytes memory state_) {
        _requireClearable(auction);
        (Progress memory progress, Book memory book) = _resume(auction, state);
        if (progress.chunks == MAX_CHUNKS) revert TooManyChunks(MAX_CHUNKS);
        bytes memory entries = _fillAll(progress, book, auction, bids);
        emit ChunkFilled(auction, msg.sender, progress.chunks, entries);
        progress.chain = _link(progress.chain, keccak256(entries));
        ++progress.chunks;
        return _suspend(auction, progress, book);
    }

    /// @inheritdoc IChunkedClearing
    function close(
        uint256 auction,
        bytes calldata state,
        bytes calldata prices,
        bytes calldata marginals,
        bytes32[] calldata chunks
    ) external {
        uint256 live = _requireClearable(auction);
        (Progress memory progress, Book memory book) = _resume(auction, state);
        if (progress.claim != _claim(prices, marginals) || progress.chain != _chain(chunks)) {
            revert StateMismatch(auction, msg.sender);
        }
        if (progress.found != live) revert E5_BidsLeftOut(live, progress.found);
        uint256 income = Equilibrium.close(book, registry.grid());
        delete sessionOf[auction][msg.sender];
        chunksOf[auction] = keccak256(abi.encodePacked(chunks));
        emit ClearingClosed(auction, msg.sender, chunks);
        emit Cleared(auction, msg.sender, income, prices, marginals);
        market.acceptChunked(auction, keccak256(prices));
        vault.payNetwork(income);
    }

    /// @inheritdoc IChunkedClearing
    function enter(uint256 auction, bytes32[] calldata chunks, uint256 chunk, bytes calldata entries) external {
        bytes32 accepted = chunksOf[auction];
        if (accepted == 0) revert NotClosed(auction);
        bool known = keccak256(abi.encodePacked(chunks)) == accepted && chunk < chunks.length;
        if (!known || keccak256(entries) != chunks[chunk]) revert EntriesMismatch(auction, chunk);
        emit PositionsEntered(auction, chunk);
        market.enterPositions(auction, entries);
    }

    /// @dev Before anything is paid for in vain.
    /// @return live Bids that have to be found
    function _requireClearable(uint256 auction) private view returns (uint256 live) {
        uint256 start = Calendar(address(market)).clearingStart(auction);
        uint256 deadline = Calendar(address(market)).clearingDeadline(auction);
        if (block.timestamp < start || block.timestamp >= deadline) revert NotClearingTime(auction, start, deadline);
        AuctionState memory state = market.auctionOf(auction);
        if (state.cleared) revert AlreadyCleared(auction);
        return state.liveBids;
    }

    // ---------------------------------------------------------------- session

    /// @dev The working memory goes to the solver, `previous trader 160 | found 48 | chunks 48`, `claim`, `chain` and
    /// the book; only its hash stays.
    function _suspend(uint256 auction, Progress memory progress, Book memory book)
        private
        returns (bytes memory state)
    {
        state = Equilibrium.save(book, PROGRESS_WORDS);
        uint256 walk = uint256(uint160(progress.previous)) << 96 | progress.found << 48 | progress.chunks;
        (bytes32 claim, bytes32 chain) = (progress.claim, progress.chain);
        assembly ("memory-safe") {
            mstore(add(state, 32), walk)
            mstore(add(state, 64), claim)
            mstore(add(state, 96), chain)
        }
        sessionOf[auction][msg.sender] = keccak256(state);
    }

    /// @dev Takes up what `_suspend` gave to the sender last, and nothing else.
    function _resume(uint256 auction, bytes calldata state)
        private
        view
        returns (Progress memory progress, Book memory book)
    {
        if (keccak256(state) != sessionOf[auction][msg.sender]) revert StateMismatch(auction, msg.sender);
        uint256 walk = uint256(bytes32(state));
        progress.previous = address(uint160(walk >> 96));
        progress.found = uint48(walk >> 48);
        progress.chunks = uint48(walk);
        progress.claim = bytes32(state[32:]);
        progress.chain = bytes32(state[64:]);
        book = Equilibrium.load(state[PROGRESS_BYTES:], _zones, _slots);
    }

    function _claim(bytes calldata prices, bytes calldata marginals) private pure returns (bytes32) {
        return keccak256(abi.encode(keccak256(prices), keccak256(marginals)));
    }

    function _chain(bytes32[] calldata chunks) private pure returns (bytes32 chain) {
        for (uint256 i; i < chunks.length; ++i) {
            chain = _link(chain, chunks[i]);
        }
    }

    function _link(bytes32 chain, bytes32 chunk) private pure returns (bytes32) {
        return keccak256(abi.encode(chain, chunk));
    }

    // ---------------------------------------------------------------- bundles

    /// @dev [E5] Every live bid once: ascending, as recorded; `close` counts them. Records stay as they are.
    /// @return entries `trader address | position hash bytes32` of every bundle
    function _fillAll(Progress memory progress, Book memory book, uint256 auction, bytes calldata bids)
        private
        view
        returns (bytes memory entries)
    {
        entries = new bytes(_bundles(bids) * ENTRY_BYTES);
        uint256 fills = _allocatePosition();
        uint256 round = auction / _ringSize;
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        uint256 count;
        while (cursor < end) {
            (address trader, uint256 zone, uint256 size) = _head(cursor);
            if (trader <= progress.previous) revert E5_TradersNotAscending(trader);
            bytes32 digest = _hashOf(cursor + TRADER_BYTES, size - TRADER_BYTES);
            // slither-disable-next-line calls-loop
            if (!market.recordOf(auction, trader).matches(Stage.Bid, round, digest)) revert E5_BidNotRecorded(trader);
            _enter(entries, count, trader, _position(book, fills, trader, zone, cursor, size));
            progress.previous = trader;
            cursor += size;
            ++count;
        }
        Equilibrium.requireNamed(book);
        progress.found += count;
    }

    /// @dev Writes the entry in its place; there is room for it.
    function _enter(bytes memory entries, uint256 index, address trader, bytes32 position) private pure {
        assembly ("memory-safe") {
            let entry := add(add(entries, 32), mul(ENTRY_BYTES, index))
            mstore(entry, shl(96, trader))
            mstore(add(entry, TRADER_BYTES), position)
        }
    }

    /// @dev How many bundles there are, if they are whole and no more than can be entered.
    function _bundles(bytes calldata bids) private pure returns (uint256 count) {
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        for (; cursor < end; ++count) {
            (,, uint256 size) = _head(cursor);
            cursor += size;
        }
        if (cursor != end) revert MalformedBids(bids.length);
        if (count > MAX_CHUNK_BUNDLES) revert ChunkTooLarge(MAX_CHUNK_BUNDLES);
    }
}
