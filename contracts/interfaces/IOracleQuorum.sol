// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Where a report stands. `None`: there is none, or it was overturned. `Posted`: it is final once its time has
/// come. `Disputed`: the owner may decide until then. `Upheld`: final by the owner's decision.
enum Standing {
    None,
    Posted,
    Disputed,
    Upheld
}

/// @notice What is kept of a report, in one slot.
/// @param content Head of keccak256 of what was reported
/// @param finalFrom From when it is final unless something happens before, Unix seconds
/// @param standing Where it stands
struct Report {
    bytes25 content;
    uint40 finalFrom;
    Standing standing;
}

/// @title m-of-n signed reports about the world outside, disputes, and when a report is final
/// @notice A report is about an `auction` and a `subject`: the zero address for its imbalance prices, a member for
/// the reading that stands in for its silent meter.
interface IOracleQuorum {
    event QuorumAnnounced(address[] signers, uint256 threshold, uint256 from);
    /// @notice These sign from now on; whatever was signed in an earlier epoch and not posted counts no longer.
    event QuorumChanged(uint256 indexed epoch, address[] signers, uint256 threshold);
    event ReportPosted(uint256 indexed auction, address indexed subject, bytes32 content, uint256 finalFrom);
    event ReportDisputed(
        uint256 indexed auction, address indexed subject, address indexed member, uint256 decideBefore
    );
    /// @notice The owner decided: the report stands and the bond goes to the balancing party, or it falls and the bond
    /// goes back.
    event DisputeDecided(uint256 indexed auction, address indexed subject, bool stands);
    /// @notice The owner did not decide in time; the report stands and the bond went back.
    event DisputeLapsed(uint256 indexed auction, address indexed subject);
    event Connected(address indexed settlement);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error QuorumImpossible(uint256 signers, uint256 threshold);
    /// @notice Signers must be named strictly ascending, so that nobody counts twice.
    error SignersNotAscending(address signer);
    error NotASigner(address signer);
    error TooFewSignatures(uint256 given, uint256 threshold);
    error MalformedSignatures(uint256 length);
    error NothingAnnounced();
    /// @notice Not what was announced.
    error NotAsAnnounced();
    error TooEarly(uint256 from);
    /// @notice There is a report on this already, or one with the same content fell in a dispute.
    error AlreadyReported(uint256 auction, address subject);
    error NotReported(uint256 auction, address subject);
    /// @notice The dispute window is over, the report was disputed before, or it is final.
    error NotDisputable(uint256 auction, address subject);
    error NotDisputed(uint256 auction, address subject);
    /// @notice The time to decide is over: the report stands.
    error DecisionTooLate(uint256 before);

    /// @notice Settlement only: takes a report on imbalance prices that a quorum signed as
    /// `ImbalancePrices(uint256 auction,uint256 epoch,bytes32 configuration,bytes prices)`.
    /// @param signatures 65 bytes each, signers ascending
    function postImbalance(uint256 auction, bytes calldata imbalancePrices, bytes calldata signatures) external;

    /// @notice Settlement only: takes a report on the reading in place of the member's silent meter that a quorum signed
    /// as `SubstituteReading(uint256 auction,address member,uint256 epoch,bytes32 configuration,bytes readings)`.
    function postSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external;

    /// @notice A member disputes a report within the dispute window; its bond is locked in the vault. A report can be
    /// disputed once; the owner's time to decide runs from the end of the dispute window.
    function dispute(uint256 auction, address subject) external;

    /// @notice The owner decides a dispute in time.
    function decide(uint256 auction, address subject, bool stands) external;

    /// @notice Gives the bond back where the owner's time to decide has passed; anyone may call.
    function lapse(uint256 auction, address subject) external;

    /// @notice The owner names other signers, who take office after the delay.
    function announceQuorum(address[] calldata signers_, uint256 threshold_) external;

    /// @notice Puts the announced signers in office once their time has come; anyone may call.
    function adoptQuorum(address[] calldata signers_, uint256 threshold_) external;

    /// @notice The report as it is kept, final or not.
    function reportOf(uint256 auction, address subject) external view returns (Report memory);

    /// @notice Whether the report's content hashes to `content` and nothing can change it any more.
    function isFinal(uint256 auction, address subject, bytes32 content) external view returns (bool);

    /// @notice How often the quorum has changed; signed in every report.
    function epoch() external view returns (uint256);

    /// @notice keccak256(abi.encode(signers, threshold)); signed in every report.
    function configuration() external view returns (bytes32);

    function threshold() external view returns (uint256);

    function isSigner(address account) external view returns (bool);

    function signers() external view returns (address[] memory);
}
