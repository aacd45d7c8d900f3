// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";

/// @title DelayedOwnable
/// @notice An owner that can hand its office on, but not at once: everybody sees who comes next and has the delay
/// to act on it. To members it guarantees that the office is never empty, since nobody can give it up, and that whoever
/// takes it has proved to hold its key.
/// @custom:halt The owner can take an announced transfer back, by announcing another or the zero address.
abstract contract DelayedOwnable is Ownable2Step {
    /// @notice From transferring the office to taking it, seconds.
    uint256 public immutable ownershipDelay;

    /// @notice From when the pending owner can take the office, Unix seconds.
    uint256 public ownershipFrom;

    event OwnershipAnnounced(address indexed nextOwner, uint256 from);

    error OwnershipTooEarly(uint256 from);
    error OwnershipNotRenounceable();

    constructor(address owner_, uint256 delay) Ownable(owner_) {
        ownershipDelay = delay;
    }

    /// @notice The owner names who may take its place after the delay, instead of anybody named before.
    function transferOwnership(address nextOwner) public override onlyOwner {
        uint256 from = block.timestamp + ownershipDelay;
        ownershipFrom = from;
        emit OwnershipAnnounced(nextOwner, from);
        super.transferOwnership(nextOwner);
    }

    /// @notice The one named takes the office, once its time has come.
    function acceptOwnership() public override {
        if (block.timestamp < ownershipFrom) revert OwnershipTooEarly(ownershipFrom);
        super.acceptOwnership();
    }

    /// @notice Refused: a market without an owner could decide no dispute.
    function renounceOwnership() public pure override {
        revert OwnershipNotRenounceable();
    }
}
