// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TestEuro} from "./TestEuro.sol";

/// @title TollToken
/// @notice A token that keeps a hundredth of whatever is sent, to see that the vault credits what arrived.
/// @custom:halt Not for production.
contract TollToken is TestEuro {
    constructor(uint8 decimals_) TestEuro(decimals_) {}

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(0), amount / 100);
    }
}
