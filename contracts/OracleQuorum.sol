// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {DelayedOwnable} from "./DelayedOwnable.sol";
import {IOracleQuorum, Report, Standing} from "./interfaces/IOracleQuorum.sol";
import {IRegistry, Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @title OracleQuorum
/// @notice Keeps what enough of the named oracles signed about the world outside: imbalance prices, and readings in
/// place of a silent meter. To members it guarantees that no report counts before the dispute window has passed, that
/// one member with the bond can put any report before the owner, and that a report which fell never comes back. It has
/// no say in bids, clearing or contract prices; what a dishonest quorum could do is bounded by Settlement, which checks
/// imbalance prices against the market's own.
/// @custom:halt Nobody can. A quorum that falls silent, or an owner that lets all reports fall or decides none, delays
/// settlement until `Calendar.deemedFrom` at the latest; by then every report is final or gone for good.
contract OracleQuorum is IOracleQuorum, DelayedOwnable, EIP712 {
    bytes32 private constant IMBALANCE_TYPEHASH =
        keccak256("ImbalancePrices(uint256 auction,uint256 epoch,bytes32 configuration,bytes prices)");
    bytes32 private constant SUBSTITUTE_TYPEHASH = keccak256(
        "SubstituteReading(uint256 auction,address member,uint256 epoch,bytes32 configuration,bytes readings)"
    );
    uint256 private constant SIGNATURE_BYTES = 65;

    /// @dev The subject of imbalance prices. Settlement passes on no reading of it, since no member has this address.
    address private constant PRICES = address(0);

    IVault public immutable vault;
    uint256 public immutable disputeBond;
    uint256 private immutable _disputeWindow;
    uint256 private immutable _decisionWindow;
    address private immutable _deployer;

    address public settlement;

    /// @inheritdoc IOracleQuorum
    uint256 public epoch;
    /// @inheritdoc IOracleQuorum
    bytes32 public configuration;
    /// @inheritdoc IOracleQuorum
    uint256 public threshold;
    address[] private _signers;
    /// @dev The last epoch an account signs in, counted from 1.
    mapping(address account => uint256) private _inOffice;
    /// @dev Configuration of the quorum that takes office at `_announcedFrom`, 0 = none does.
    bytes32 private _announced;
    uint256 private _announcedFrom;

    mapping(uint256 auction => mapping(address subject => Report)) private _reports;
    mapping(uint256 auction => mapping(address subject => address)) private _disputants;
    /// @dev Reports that fell: their signatures still fit, and anyone could post them again.
    mapping(uint256 auction => mapping(address subject => mapping(bytes25 content => bool))) private _fallen;

    constructor(IRegistry registry, IVault vault_, address[] memory signers_, uint256 threshold_)
        DelayedOwnable(registry.owner(), registry.parameters().ownerDelay)
        EIP712("Clearwatt OracleQuorum", "1")
    {
        Parameters memory p = registry.parameters();
        vault = vault_;
        disputeBond = p.disputeBond;
        _disputeWindow = p.schedule.disputeWindow;
        _decisionWindow = p.schedule.decisionWindow;
        _deployer = msg.sender;
        _requirePossible(signers_, threshold_);
        _takeOffice(signers_, threshold_);
    }

    modifier only(address caller) {
        if (msg.sender != caller) revert NotConnectedCaller(msg.sender);
        _;
    }

    /// @notice The deployer names the contract that passes reports on, once and for good.
    function connect(address settlement_) external only(_deployer) {
        if (settlement != address(0)) revert AlreadyConnected();
        if (settlement_ == address(0)) revert NotConnectedCaller(address(0));
        settlement = settlement_;
        emit Connected(settlement_);
    }

    // ---------------------------------------------------------------- who signs

    /// @inheritdoc IOracleQuorum
    function announceQuorum(address[] calldata signers_, uint256 threshold_) external onlyOwner {
        _requirePossible(signers_, threshold_);
        uint256 from = block.timestamp + ownershipDelay;
        _announced = keccak256(abi.encode(signers_, threshold_));
        _announcedFrom = from;
        emit QuorumAnnounced(signers_, threshold_, from);
    }

    /// @inheritdoc IOracleQuorum
    function adoptQuorum(address[] calldata signers_, uint256 threshold_) external {
        bytes32 announced = _announced;
        if (announced == 0) revert NothingAnnounced();
        if (announced != keccak256(abi.encode(signers_, threshold_))) revert NotAsAnnounced();
        if (block.timestamp < _announcedFrom) revert TooEarly(_announcedFrom);
        delete _announced;
        ++epoch;
        _takeOffice(signers_, threshold_);
    }

    function _requirePossible(address[] memory signers_, uint256 threshold_) private pure {
        if (threshold_ == 0 || threshold_ > signers_.length) revert QuorumImpossible(signers_.length, threshold_);
        address previous;
        for (uint256 i; i < signers_.length; ++i) {
            if (signers_[i] <= previous) revert SignersNotAscending(signers_[i]);
            previous = signers_[i];
        }
    }

    function _takeOffice(address[] memory signers_, uint256 threshold_) private {
        uint256 epoch_ = epoch;
        for (uint256 i; i < signers_.length; ++i) _inOffice[signers_[i]] = epoch_ + 1;
        _signers = signers_;
        threshold = threshold_;
        configuration = keccak256(abi.encode(signers_, threshold_));
        emit QuorumChanged(epoch_, signers_, threshold_);
    }

    // ---------------------------------------------------------------- reports

    /// @inheritdoc IOracleQuorum
    function postImbalance(uint256 auction, bytes calldata imbalancePrices, bytes calldata signatures)
        external
        only(settlement)
    {
        bytes32 content = keccak256(imbalancePrices);
        _requireQuorum(
            keccak256(abi.encode(IMBALANCE_TYPEHASH, auction, epoch, configuration, content)), signatures
        );
        _post(auction, PRICES, content);
    }

    /// @inheritdoc IOracleQuorum
    function postSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external
        only(settlement)
    {
        bytes32 content = keccak256(readings);
        _requireQuorum(
            keccak256(abi.encode(SUBSTITUTE_TYPEHASH, auction, member, epoch, configuration, content)), signatures
        );
        _post(auction, member, content);
    }

    function _requireQuorum(bytes32 structHash, bytes calldata signatures) private view {
        if (signatures.length % SIGNATURE_BYTES != 0) revert MalformedSignatures(signatures.length);
        uint256 given = signatures.length / SIGNATURE_BYTES;
        if (given < threshold) revert TooFewSignatures(given, threshold);
        bytes32 digest = _hashTypedDataV4(structHash);
        address previous;
        for (uint256 i; i < given; ++i) {
            address signer = ECDSA.recover(digest, signatures[i * SIGNATURE_BYTES:(i + 1) * SIGNATURE_BYTES]);
            if (signer <= previous) revert SignersNotAscending(signer);
            if (!isSigner(signer)) revert NotASigner(signer);
            previous = signer;
        }
    }

    function _post(uint256 auction, address subject, bytes32 content) private {
        Report storage report = _reports[auction][subject];
        bool fallen = _fallen[auction][subject][bytes25(content)];
        if (fallen || report.standing != Standing.None) revert AlreadyReported(auction, subject);
        uint256 finalFrom = block.timestamp + _disputeWindow;
        report.content = bytes25(content);
        report.finalFrom = uint40(finalFrom);
        report.standing = Standing.Posted;
        emit ReportPosted(auction, subject, content, finalFrom);
    }

    // ---------------------------------------------------------------- disputes

    /// @inheritdoc IOracleQuorum
    function dispute(uint256 auction, address subject) external {
        Report storage report = _reports[auction][subject];
        if (report.standing == Standing.None) revert NotReported(auction, subject);
        if (report.standing != Standing.Posted || block.timestamp >= report.finalFrom) {
            revert NotDisputable(auction, subject);
        }
        // counted from the end of the dispute window, so that disputing one's own report early gains nothing
        uint256 decideBefore = report.finalFrom + _decisionWindow;
        report.standing = Standing.Disputed;
        report.finalFrom = uint40(decideBefore);
        _disputants[auction][subject] = msg.sender;
        emit ReportDisputed(auction, subject, msg.sender, decideBefore);
        // where the member sits is of no account here
        // slither-disable-next-line unused-return
        vault.relock(msg.sender, 0, disputeBond);
    }

    /// @inheritdoc IOracleQuorum
    function decide(uint256 auction, address subject, bool stands) external onlyOwner {
        Report storage report = _disputed(auction, subject);
        if (block.timestamp >= report.finalFrom) revert DecisionTooLate(report.finalFrom);
        address disputant = _disputants[auction][subject];
        emit DisputeDecided(auction, subject, stands);
        if (stands) {
            report.standing = Standing.Upheld;
            vault.forfeit(disputant, disputeBond);
        } else {
            _fallen[auction][subject][report.content] = true;
            delete _reports[auction][subject];
            vault.unlock(disputant, disputeBond);
        }
    }

    /// @inheritdoc IOracleQuorum
    function lapse(uint256 auction, address subject) external {
        Report storage report = _disputed(auction, subject);
        if (block.timestamp < report.finalFrom) revert TooEarly(report.finalFrom);
        report.standing = Standing.Upheld;
        emit DisputeLapsed(auction, subject);
        vault.unlock(_disputants[auction][subject], disputeBond);
    }

    function _disputed(uint256 auction, address subject) private view returns (Report storage report) {
        report = _reports[auction][subject];
        if (report.standing != Standing.Disputed) revert NotDisputed(auction, subject);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IOracleQuorum
    function reportOf(uint256 auction, address subject) external view returns (Report memory) {
        return _reports[auction][subject];
    }

    /// @inheritdoc IOracleQuorum
    // What is compared is where the report stands and what it says, no amount that anybody could nudge.
    // slither-disable-next-line incorrect-equality
    function isFinal(uint256 auction, address subject, bytes32 content) external view returns (bool) {
        Report memory report = _reports[auction][subject];
        if (report.standing == Standing.None || report.content != bytes25(content)) return false;
        return report.standing == Standing.Upheld || block.timestamp >= report.finalFrom;
    }

    /// @inheritdoc IOracleQuorum
    function isSigner(address account) public view returns (bool) {
        return _inOffice[account] == epoch + 1;
    }

    /// @inheritdoc IOracleQuorum
    function signers() external view returns (address[] memory) {
        return _signers;
    }
}
