// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEquilibriumErrors} from "./IEquilibriumErrors.sol";

/// @title Clearing of auctions that don't fit one transaction
/// @notice `begin`, any number of `fill`, `close`: together the same check as `IClearing.clear`, its working memory handed
/// from call to call by the solver and held to by its hash. Every solver has a session of its own, so nobody's chunks
/// can stop another's. Members' records stay as they are until somebody's `close` has passed; then anyone `enter`s the
/// positions.
interface IChunkedClearing is IEquilibriumErrors {
    event ClearingBegun(uint256 indexed auction, address indexed solver);

    /// @notice `entries`: `trader address | position hash bytes32` for every bundle of this chunk, as `enter` takes them.
    event ChunkFilled(uint256 indexed auction, address indexed solver, uint256 chunk, bytes entries);

    /// @notice The solver's result was accepted; `enter` needs these hashes.
    event ClearingClosed(uint256 indexed auction, address indexed solver, bytes32[] chunks);

    /// @notice A chunk's positions are in its members' records now.
    event PositionsEntered(uint256 indexed auction, uint256 chunk);

    error NotClearingTime(uint256 auction, uint256 start, uint256 deadline);
    error AlreadyCleared(uint256 auction);
    /// @notice Not the working memory that the sender's last call left, or there is no session.
    error StateMismatch(uint256 auction, address solver);
    error NotClosed(uint256 auction);
    /// @notice These are not the chunk's entries.
    error EntriesMismatch(uint256 auction, uint256 chunk);
    /// @notice A chunk has more bundles than could be entered in one transaction.
    error ChunkTooLarge(uint256 most);
    error TooManyChunks(uint256 most);

    /// @notice Begins the sender's session for the auction, or begins it anew.
    /// @param prices As in `IClearing.clear`
    /// @param marginals As in `IClearing.clear`
    /// @return state The working memory, to be handed to the next call
    function begin(uint256 auction, bytes calldata prices, bytes calldata marginals)
        external
        returns (bytes memory state);

    /// @notice Walks the next bundles.
    /// @param bids As in `IClearing.clear`; traders ascending over all chunks
    function fill(uint256 auction, bytes calldata state, bytes calldata bids) external returns (bytes memory state_);

    /// @notice Checks the whole and has the market accept it.
    /// @param prices As handed to `begin`, as are `marginals`
    /// @param chunks keccak256 of every chunk's entries, in order
    function close(
        uint256 auction,
        bytes calldata state,
        bytes calldata prices,
        bytes calldata marginals,
        bytes32[] calldata chunks
    ) external;

    /// @notice Enters one chunk's positions in its members' records; anyone may call, in any order, and again.
    function enter(uint256 auction, bytes32[] calldata chunks, uint256 chunk, bytes calldata entries) external;

    /// @notice keccak256 of the sender's working memory; 0 without a session.
    function sessionOf(uint256 auction, address solver) external view returns (bytes32);

    /// @notice keccak256 of the accepted chunks' hashes; 0 unless cleared here.
    function chunksOf(uint256 auction) external view returns (bytes32);
}
