// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {TestEuro} from "./TestEuro.sol";

/// @title ReentrantToken
/// @notice A token that, once armed, makes one call of somebody's choice in the middle of the next transfer. What the
/// call comes to is noted and the transfer goes on, so that nothing but the called contract can stop it.
/// @custom:halt Not for production.
contract ReentrantToken is TestEuro {
    address private _target;
    bytes private _call;

    bool public called;
    bool public succeeded;
    bytes public answer;

    constructor(uint8 decimals_) TestEuro(decimals_) {}

    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
        called = false;
    }

    /// @notice The token itself does something, as an account of its own.
    function execute(address target, bytes calldata call_) external {
        (bool done,) = target.call(call_);
        require(done, "refused");
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        address target = _target;
        if (target == address(0) || from == address(0) || to == address(0)) return;
        _target = address(0);
        called = true;
        (succeeded, answer) = target.call(_call);
    }
}
