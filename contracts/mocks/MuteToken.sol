// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TestEuro} from "./TestEuro.sol";

/// @title MuteToken
/// @notice A token whose transfers, once it is told to, move nothing and say so by returning false instead of reverting.
/// @custom:halt Not for production.
contract MuteToken is TestEuro {
    bool public mute;

    constructor(uint8 decimals_) TestEuro(decimals_) {}

    function setMute(bool mute_) external {
        mute = mute_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return !mute && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !mute && super.transferFrom(from, to, amount);
    }
}
