// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title What can be wrong with a bundle of steps
interface IBundleErrors {
    error MalformedSteps(uint256 length);
    error TooManySteps(uint256 count, uint256 most);
    error StepSlotUnknown(uint256 step, uint256 slot);
    error StepsNotAscending(uint256 step);
    error StepPriceOutOfBounds(uint256 step, int256 price);
    /// @notice A step offers or asks for less than the market's least quantity.
    error StepTooSmall(uint256 step, uint256 quantity, uint256 least);
    /// @notice The quantities of a bundle, sold and bought, add up to more than an int32 holds.
    error BundleTooLarge(uint256 quantity);
    /// @notice One of the errors above, where a signed bid is passed over.
    error BundleUnsound();
}
