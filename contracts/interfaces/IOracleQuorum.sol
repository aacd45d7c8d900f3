// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title m-of-n signatures over one report
interface IOracleQuorum {
    event QuorumChanged(address[] signers, uint256 threshold);

    error QuorumImpossible(uint256 signers, uint256 threshold);
    /// @notice Signers must be named strictly ascending, so that nobody counts twice.
    error SignersNotAscending(address signer);
    error NotASigner(address signer);
    error TooFewSignatures(uint256 given, uint256 threshold);
    error MalformedSignatures(uint256 length);

    /// @notice Reverts unless a quorum signed these imbalance prices for the auction.
    /// @param imbalancePrices Per zone and slot, zone-major: `surplus int24 | shortage int24`
    /// @param signatures 65 bytes each, signers ascending
    function requireImbalance(uint256 auction, bytes calldata imbalancePrices, bytes calldata signatures) external view;

    /// @notice Reverts unless a quorum signed these readings in place of the member's silent meter.
    /// @param readings T packed int32, Wh
    function requireSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external
        view;

    /// @notice The owner names other signers.
    function setQuorum(address[] calldata signers, uint256 threshold) external;

    function threshold() external view returns (uint256);

    function isSigner(address account) external view returns (bool);

    function signers() external view returns (address[] memory);
}
