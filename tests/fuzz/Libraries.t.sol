// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Bundles, Terms} from "../../contracts/libraries/Bundles.sol";
import {Lanes} from "../../contracts/libraries/Lanes.sol";
import {Line, LinesLib} from "../../contracts/libraries/Lines.sol";
import {Packed} from "../../contracts/libraries/Packed.sol";
import {Record, RecordsLib, Stage} from "../../contracts/libraries/Records.sol";
import {Step, StepsLib} from "../../contracts/libraries/Steps.sol";

/// @notice What is packed comes out again, whatever it is; and what is fast says the same as what is plain.
contract LibrariesFuzz {
    using Lanes for uint256;

    uint256 private constant LOCK_UNIT = 1 << 20;

    // ---------------------------------------------------------------- steps and bundles

    function testFuzz_step__packed__readsBack(uint8 slot, int24 price, int32 quantity) external view {
        this.checkStep(abi.encodePacked(slot, price, quantity), slot, price, quantity);
    }

    function checkStep(bytes calldata bundle, uint8 slot, int24 price, int32 quantity) external pure {
        Step step = StepsLib.at(StepsLib.start(bundle));
        require(step.slot() == slot && step.price() == price && step.quantity() == quantity);
    }

    /// @dev Five steps near the terms' edges, so that about every other bundle is sound.
    function testFuzz_bundle__measured__soundExactlyWhereNothingIsNamed(
        uint8[5] memory slots,
        int24[5] memory prices,
        int32[5] memory quantities,
        uint256 seed
    ) external view {
        Terms memory terms = Terms(4, -500, 500, 10, seed % 1000);
        bytes memory bundle;
        uint256 slot;
        for (uint256 i; i < seed % 6; ++i) {
            bool wild = slots[i] > 240;
            slot = wild ? slots[i] : (slot + slots[i] % 2);
            if (slots[i] % 16 != 0) {
                prices[i] = int24(prices[i] % 501);
                quantities[i] = int32(quantities[i] % 1_000_000) + (quantities[i] < 0 ? int32(-10) : int32(10));
            }
            bundle = abi.encodePacked(bundle, uint8(slot), prices[i], quantities[i]);
        }
        bool named;
        try this.requireSound(terms, bundle) {} catch {
            named = true;
        }
        (uint256 money, bool sound) = this.measure(terms, bundle);
        require(sound != named);
        if (sound) require(money == _worstCost(terms, prices, quantities, seed % 6));
    }

    function _worstCost(Terms memory terms, int24[5] memory prices, int32[5] memory quantities, uint256 count)
        private
        pure
        returns (uint256 money)
    {
        for (uint256 i; i < count; ++i) {
            int256 income = int256(prices[i]) * quantities[i];
            if (income < 0) money += uint256(-income);
            money += uint256(quantities[i] < 0 ? -int256(quantities[i]) : int256(quantities[i])) * terms.margin;
        }
    }

    function requireSound(Terms memory terms, bytes calldata bundle) external pure {
        Bundles.requireSound(terms, StepsLib.start(bundle), bundle.length / StepsLib.SIZE);
    }

    function measure(Terms memory terms, bytes calldata bundle) external pure returns (uint256, bool) {
        return Bundles.measure(terms, StepsLib.start(bundle), bundle.length / StepsLib.SIZE);
    }

    // ---------------------------------------------------------------- records

    function testFuzz_record__packed__readsBack(
        uint8 stage_,
        uint256 round_,
        uint64 money,
        uint256 nonce_,
        bytes32 hash
    ) external pure {
        Stage stage = Stage(stage_ % 5);
        round_ %= RecordsLib.MAX_ROUND + 1;
        nonce_ %= RecordsLib.LAST_NONCE + 1;
        uint256 lock = RecordsLib.lockUp(money >> 5);
        require(lock <= RecordsLib.MAX_LOCK && lock >= money >> 5 && lock < (money >> 5) + LOCK_UNIT);
        Record record = RecordsLib.pack(stage, round_, lock, nonce_, hash);
        require(record.stage() == stage && record.round() == round_);
        require(record.lock() == lock && record.nonce() == nonce_);
        require(record.matches(stage, round_, hash) && record.at(stage, round_));
        require(record.idle() == (stage == Stage.Free || stage == Stage.Spent));
    }

    /// @dev 75 bits of a record are no digest, so hashes that differ in those alone are the same to it.
    function testFuzz_record__other__doesNotMatch(uint256 round_, uint8 stages, bytes32 hash, bytes32 next)
        external
        pure
    {
        round_ %= RecordsLib.MAX_ROUND;
        (Stage stage, Stage other) = (Stage(stages % 5), Stage((stages % 5 + 1 + (stages >> 4) % 4) % 5));
        Record record = RecordsLib.pack(stage, round_, 0, 7, hash);
        require(!record.matches(other, round_, hash) && !record.at(other, round_));
        require(!record.matches(stage, round_ + 1, hash) && !record.at(stage, round_ + 1));
        if (uint256(hash) >> 75 != uint256(next) >> 75) require(!record.matches(stage, round_, next));
    }

    function testFuzz_record__advanced__keepsLockRoundAndNonce(
        uint256 round_,
        uint40 units,
        uint256 nonce_,
        bytes32 hash,
        bytes32 next
    ) external pure {
        round_ %= RecordsLib.MAX_ROUND + 1;
        nonce_ %= RecordsLib.LAST_NONCE + 1;
        Record record = RecordsLib.pack(Stage.Bid, round_, uint256(units) * LOCK_UNIT, nonce_, hash);
        Record advanced = record.advance(Stage.Position, next);
        require(advanced.lock() == record.lock() && advanced.round() == round_ && advanced.nonce() == nonce_);
        require(advanced.matches(Stage.Position, round_, next));
        require(!advanced.matches(Stage.Bid, round_, next));
        if (uint256(hash) >> 75 != uint256(next) >> 75) require(!advanced.matches(Stage.Position, round_, hash));
    }

    // ---------------------------------------------------------------- the rest

    function testFuzz_line__packed__readsBack(uint16 parent, uint24 fee, uint64 exportLimit, uint64 importLimit)
        external
        pure
    {
        Line line = LinesLib.pack(parent, fee, exportLimit, importLimit);
        require(line.parent() == parent && line.fee() == int256(uint256(fee)));
        require(line.exportLimit() == int256(uint256(exportLimit)));
        require(line.importLimit() == int256(uint256(importLimit)));
    }

    function testFuzz_packed__anyPlace__readsBack(int24[7] calldata prices, int32[5] calldata readings, uint8 at)
        external
        view
    {
        bytes memory narrow;
        bytes memory wide = hex"0102";
        for (uint256 i; i < 7; ++i) narrow = abi.encodePacked(narrow, prices[i]);
        for (uint256 i; i < 5; ++i) wide = abi.encodePacked(wide, readings[i]);
        this.checkPacked(narrow, at % 7, prices[at % 7], wide, at % 5, readings[at % 5]);
    }

    function checkPacked(
        bytes calldata narrow,
        uint256 i,
        int24 price,
        bytes calldata wide,
        uint256 k,
        int32 reading
    ) external pure {
        require(Packed.int24At(Packed.start(narrow) + 3 * i) == price);
        require(Packed.int32At(Packed.start(wide) + 2 + 4 * k) == reading);
    }

    /// @dev As Settlement uses them: the sold and what was injected, in eight slots at once.
    function testFuzz_lanes__eightSlots__asOneByOne(int32[8] calldata sold, int32[8] calldata injected)
        external
        pure
    {
        uint256 x;
        uint256 y;
        uint256[3] memory expected;
        for (uint256 i; i < 8; ++i) {
            x = x << 32 | uint32(sold[i]);
            y = y << 32 | uint32(injected[i]);
            int256 s = sold[i] > 0 ? int256(sold[i]) : int256(0);
            int256 n = injected[i] > 0 ? int256(injected[i]) : int256(0);
            expected[0] += uint256(s < n ? s : n);
            expected[1] += uint256(s);
            expected[2] += uint256(sold[i] < 0 ? -int256(sold[i]) : int256(0));
        }
        require(x.positive().least(y.positive()).paired().total() == expected[0]);
        require(x.positive().paired().total() == expected[1]);
        require(x.negative().paired().total() == expected[2]);
    }
}
