// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEquilibriumErrors} from "./IEquilibriumErrors.sol";

/// @title Verified clearing in one transaction
interface IClearing is IEquilibriumErrors {
    /// @notice The auction's optimum was accepted. With the bids these bytes say everything: fills follow.
    event Cleared(
        uint256 indexed auction, address indexed solver, uint256 networkIncome, bytes prices, bytes marginals
    );

    /// @notice Accepts the auction's result if it is the welfare optimum at the canonical price; anyone may send it.
    /// @param prices int24 per zone and slot, zone-major
    /// @param marginals 16 bytes each: `zone uint16 | slot uint8 | buy uint8 | quantity uint48 | filled uint48`,
    /// ascending; one for every zone, slot and side with steps exactly at the price
    /// @param bids Every live bid, traders ascending: `trader address | zone uint16 | count uint16 | steps`
    function clear(uint256 auction, bytes calldata prices, bytes calldata marginals, bytes calldata bids) external;
}
