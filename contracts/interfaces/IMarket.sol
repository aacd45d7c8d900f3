// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Record} from "../libraries/Records.sol";
import {IBundleErrors} from "./IBundleErrors.sol";
import {IEquilibriumErrors} from "./IEquilibriumErrors.sol";

/// @notice What the market keeps of an auction.
/// @param liveBids Open bids in it that are not cancelled; fixed once it can be cleared
/// @param cleared Whether a clearing was accepted
/// @param prices Head of keccak256 of the accepted prices as they were sent
struct AuctionState {
    uint16 liveBids;
    bool cleared;
    bytes29 prices;
}

/// @title Bids and what becomes of them
interface IMarket is IEquilibriumErrors, IBundleErrors {
    /// @notice Bids were placed, or replaced the ones before, back to back as `IClearing.clear` takes them:
    /// `trader address | zone uint16 | count uint16 | steps`. Of a member's bids the last one counts.
    event BidsPlaced(uint256 indexed auction, bytes bids);

    /// @notice A signed bid was not placed, for the reason that the error with this selector names.
    event BidRefused(uint256 indexed auction, address indexed member, bytes4 reason);

    event BidCancelled(uint256 indexed auction, address indexed member);

    /// @notice A sealed bid was placed, or replaced the one before.
    event BidSealed(uint256 indexed auction, address indexed member, bytes32 commitment);

    /// @notice A sealed bid was never opened; its deposit went to the balancing party.
    event SealForfeited(uint256 indexed auction, address indexed member);

    /// @notice The auction was void and the member's lock was released.
    event BidReleased(uint256 indexed auction, address indexed member);

    event Connected(address indexed settlement, address indexed clearing);
    event PausedSet(bool paused);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error NotOwner(address caller);
    error BiddingPaused();
    /// @notice Bids for `auction` are taken from `opening` until before `gateClosure`.
    error GateNotOpen(uint256 auction, uint256 opening, uint256 gateClosure);
    /// @notice `auction` is cleared from `start` until before `deadline`.
    error NotClearingTime(uint256 auction, uint256 start, uint256 deadline);
    /// @notice Sealed bids of `auction` are opened from `gateClosure` until before `deadline`.
    error NotRevealTime(uint256 auction, uint256 gateClosure, uint256 deadline);
    /// @notice This market's bids are sealed until the gate closes.
    error SealedMarket();
    /// @notice This market's bids are open.
    error OpenMarket();
    error AlreadyCleared(uint256 auction);
    error NotCleared(uint256 auction);
    error NotVoid(uint256 auction);
    error AuctionFull(uint256 auction);
    /// @notice The ring has turned as often as a record can count.
    error MarketEnded();
    error NoBid(uint256 auction, address member);
    /// @notice Nobody named has a live bid in the auction.
    error NothingToRelease(uint256 auction);
    /// @notice The member's bid of an auction `ringSize` (or a multiple of it) before is not settled yet.
    error RecordInUse(uint256 earlierAuction, address member);
    error RecordMismatch(uint256 auction, address member);
    /// @notice The deposit of sealed bids is more than a record can say.
    error DepositTooLarge(uint256 money);
    error WrongSignature(address member);
    error SignatureExpired(uint256 deadline);
    /// @notice A signature counts only with a nonce above the last one, and below `end`.
    error NonceUsed(address member, uint256 last, uint256 end);
    error MalformedSignedBids(uint256 length);
    /// @notice The opening does not fit the sealed bid.
    error WrongOpening(uint256 auction, address member);

    /// @notice Places the sender's bundle for `auction`, or replaces the one it has there.
    /// @dev Locks what the bundle can cost at worst. A bundle of no steps is allowed: the member trades nothing and
    /// is settled by its meter alone. What the sender signed before for this auction counts no longer.
    /// @param steps 8 bytes each, `slot uint8 | price int24 | quantity int32`, slots not descending
    function bid(uint256 auction, bytes calldata steps) external;

    /// @notice Places bundles that their members signed, all for one auction; anyone may post them. One that can't be
    /// placed is passed over with `BidRefused`, so that nobody's bad bid keeps out another's.
    /// @param bids Back to back: `member address | nonce uint16 | deadline uint40 | signature bytes uint16 | count uint16 |
    /// steps | signature`. The signature, an EOA's of 65 bytes or what the member's contract takes by ERC-1271, is over
    /// the EIP-712 struct `Bid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes steps)`
    function bidSigned(uint256 auction, bytes calldata bids) external;

    /// @notice Takes the sender's bid back, open or sealed, and releases its lock. What the sender signed for this
    /// auction counts no longer.
    function cancel(uint256 auction) external;

    /// @notice The same by the member's signature over
    /// `Cancellation(address member,uint256 auction,uint256 nonce,uint256 deadline)`; anyone may post it.
    function cancelSigned(
        uint256 auction,
        address member,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Sealed markets: places the sender's bid without showing it, or replaces the one it has there. Locks the
    /// market's deposit, which is the same for every bid.
    /// @param commitment keccak256(abi.encode(chain id, market, auction, member, salt, keccak256(steps)))
    function seal(uint256 auction, bytes32 commitment) external;

    /// @notice The same by the member's signature over
    /// `SealedBid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes32 commitment)`; anyone may post it.
    function sealSigned(
        uint256 auction,
        bytes32 commitment,
        address member,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Opens a sealed bid after the gate has closed; anyone who knows its salt may. Locks what the bundle can
    /// cost in place of the deposit.
    function open(uint256 auction, address member, bytes32 salt, bytes calldata steps) external;

    /// @notice Gives the deposit of a sealed bid that was not opened in time to the balancing party; anyone may call.
    function forfeit(uint256 auction, address member) external;

    /// @notice Releases members' locks after the auction has become void; anyone may call. Passes over those without a
    /// live bid.
    function release(uint256 auction, address[] calldata members) external;

    /// @notice Clearing only: takes note that the auction is cleared and turns its bids into the positions that came of
    /// them, if these are its live bids, each once [E5].
    /// @param prices keccak256 of the prices
    /// @param entries `trader address | bid hash bytes32 | position hash bytes32` each, traders ascending
    function accept(uint256 auction, bytes32 prices, bytes calldata entries) external;

    /// @notice Clearing only: takes note of an auction whose bids were compared with the records chunk by chunk.
    function acceptChunked(uint256 auction, bytes32 prices) external;

    /// @notice Clearing only: turns bids of a cleared auction into the positions that came of them.
    /// @param entries `trader address | position hash bytes32` each; those entered before are passed over
    function enterPositions(uint256 auction, bytes calldata entries) external;

    /// @notice Settlement only: marks members' positions spent and notes their energy claims.
    /// @param entries `member address | position hash bytes32 | claim bytes32` each: keccak256 of the position as
    /// clearing left it, `zone uint16 | cash int64 | fills int32[T]`, where `cash` is what the member's contracts pay it,
    /// money units; and of what the member may draw in energy tokens
    /// @return locks What stood behind each bid
    function spend(uint256 auction, bytes calldata entries) external returns (uint256[] memory locks);

    /// @notice Settlement only: marks the member's energy claim as drawn.
    function draw(uint256 auction, address member, bytes32 claim) external;

    /// @notice The registry's owner stops new bids at once, or lets them in again. Everything else goes on.
    function setPaused(bool paused_) external;

    function paused() external view returns (bool);

    function auctionOf(uint256 auction) external view returns (AuctionState memory);

    /// @notice Whether `auction` was not cleared in time.
    function isVoid(uint256 auction) external view returns (bool);

    /// @notice The record the member's bid in `auction` uses, whatever it holds now.
    function recordOf(uint256 auction, address member) external view returns (Record);
}
