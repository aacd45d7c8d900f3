// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title CallingWallet
/// @notice A member that is a contract and does what anyone tells it to. Asked whether a signature is its own, it first
/// makes a call of somebody's choice, as far as the asker lets it, and then agrees.
/// @custom:halt Not for production.
contract CallingWallet is IERC1271 {
    address private _target;
    bytes private _call;

    /// @notice What it calls when it is asked.
    function arm(address target, bytes calldata call_) external {
        (_target, _call) = (target, call_);
    }

    /// @notice Acts in person.
    function execute(address target, bytes calldata call_) external {
        (bool done,) = target.call(call_);
        require(done, "refused");
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        (bool done,) = _target.staticcall(_call);
        // whoever finds that the call went through finds the signature refused
        return done ? bytes4(0xffffffff) : IERC1271.isValidSignature.selector;
    }
}
