// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice A line from a zone to its parent in one word: `parent 16 | fee 24 | exportLimit 64 | importLimit 64`,
/// least significant last. Limits in Wh per slot, fee in ticks per Wh carried.
type Line is uint256;

using LinesLib for Line global;

/// @notice Packing and reading of `Line`.
library LinesLib {
    function pack(uint16 parent_, uint24 fee_, uint64 exportLimit_, uint64 importLimit_)
        internal
        pure
        returns (Line)
    {
        return Line.wrap(
            uint256(parent_) << 152 | uint256(fee_) << 128 | uint256(exportLimit_) << 64 | uint256(importLimit_)
        );
    }

    function parent(Line line) internal pure returns (uint256) {
        return Line.unwrap(line) >> 152;
    }

    function fee(Line line) internal pure returns (int256) {
        return int256(uint256(uint24(Line.unwrap(line) >> 128)));
    }

    function exportLimit(Line line) internal pure returns (int256) {
        return int256(uint256(uint64(Line.unwrap(line) >> 64)));
    }

    function importLimit(Line line) internal pure returns (int256) {
        return int256(uint256(uint64(Line.unwrap(line))));
    }
}
