// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Bundles, Terms} from "../libraries/Bundles.sol";
import {StepsLib} from "../libraries/Steps.sol";

/// @title BundlesHarness
/// @notice Both readings of a bundle of steps, the quick one and the plain one, without a market around them.
/// @custom:halt Not for production.
contract BundlesHarness {
    /// @param bundles Packed steps of one bundle each, a whole number of them
    /// @return money What has to stand behind each, money units
    /// @return sound What `Bundles.measure` says of each
    /// @return faults What `Bundles.requireSound` reverts with for each; empty where it does not
    function measureAll(Terms calldata terms, bytes[] calldata bundles)
        external
        view
        returns (uint256[] memory money, bool[] memory sound, bytes[] memory faults)
    {
        money = new uint256[](bundles.length);
        sound = new bool[](bundles.length);
        faults = new bytes[](bundles.length);
        for (uint256 i; i < bundles.length; ++i) {
            (money[i], sound[i]) =
                Bundles.measure(terms, StepsLib.start(bundles[i]), bundles[i].length / StepsLib.SIZE);
            try this.requireSound(terms, bundles[i]) {}
            catch (bytes memory fault) {
                faults[i] = fault;
            }
        }
    }

    function requireSound(Terms calldata terms, bytes calldata steps) external pure {
        Bundles.requireSound(terms, StepsLib.start(steps), steps.length / StepsLib.SIZE);
    }
}
