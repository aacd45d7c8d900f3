// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Energy sources a token can certify. What comes from `NONE` (a battery, the upstream grid) earns none.
library Sources {
    uint8 internal constant NONE = 0;
    uint8 internal constant SOLAR = 1;
    uint8 internal constant WIND = 2;
    uint8 internal constant OTHER_RENEWABLE = 3;

    uint8 internal constant COUNT = 4;
}
