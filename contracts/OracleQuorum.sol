// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IOracleQuorum} from "./interfaces/IOracleQuorum.sol";

/// @title OracleQuorum
/// @notice Says whether enough of the named oracles signed a report about the world outside: imbalance prices, and
/// readings in place of a silent meter. It has no say in bids, clearing or contract prices; what a dishonest quorum
/// could do is bounded by Settlement, which checks imbalance prices against the market's own.
/// @custom:halt A quorum that falls silent stops nothing: after the substitute deadline settlement goes on without it.
contract OracleQuorum is IOracleQuorum, Ownable2Step, EIP712 {
    bytes32 private constant IMBALANCE_TYPEHASH = keccak256("ImbalancePrices(uint256 auction,bytes prices)");
    bytes32 private constant SUBSTITUTE_TYPEHASH =
        keccak256("SubstituteReading(uint256 auction,address member,bytes readings)");
    uint256 private constant SIGNATURE_BYTES = 65;

    uint256 public threshold;
    address[] private _signers;
    mapping(address => bool) public isSigner;

    constructor(address owner_, address[] memory signers_, uint256 threshold_)
        Ownable(owner_)
        EIP712("Clearwatt OracleQuorum", "1")
    {
        _setQuorum(signers_, threshold_);
    }

    /// @inheritdoc IOracleQuorum
    function setQuorum(address[] calldata signers_, uint256 threshold_) external onlyOwner {
        _setQuorum(signers_, threshold_);
    }

    function _setQuorum(address[] memory signers_, uint256 threshold_) private {
        if (threshold_ == 0 || threshold_ > signers_.length) revert QuorumImpossible(signers_.length, threshold_);
        for (uint256 i; i < _signers.length; ++i) isSigner[_signers[i]] = false;
        address previous;
        for (uint256 i; i < signers_.length; ++i) {
            if (signers_[i] <= previous) revert SignersNotAscending(signers_[i]);
            previous = signers_[i];
            isSigner[previous] = true;
        }
        _signers = signers_;
        threshold = threshold_;
        emit QuorumChanged(signers_, threshold_);
    }

    /// @inheritdoc IOracleQuorum
    function requireImbalance(uint256 auction, bytes calldata imbalancePrices, bytes calldata signatures)
        external
        view
    {
        _requireQuorum(keccak256(abi.encode(IMBALANCE_TYPEHASH, auction, keccak256(imbalancePrices))), signatures);
    }

    /// @inheritdoc IOracleQuorum
    function requireSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external
        view
    {
        _requireQuorum(
            keccak256(abi.encode(SUBSTITUTE_TYPEHASH, auction, member, keccak256(readings))), signatures
        );
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
            if (!isSigner[signer]) revert NotASigner(signer);
            previous = signer;
        }
    }

    /// @inheritdoc IOracleQuorum
    function signers() external view returns (address[] memory) {
        return _signers;
    }
}
