// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Line, LinesLib} from "../../contracts/libraries/Lines.sol";
import {Packed} from "../../contracts/libraries/Packed.sol";
import {Record, RecordsLib, Stage} from "../../contracts/libraries/Records.sol";
import {Step, StepsLib} from "../../contracts/libraries/Steps.sol";

/// @notice What is packed comes out again, whatever it is.
contract LibrariesFuzz {
    using Packed for bytes;

    function testFuzz_step__packed__readsBack(uint8 slot, int24 price, int32 quantity) external view {
        this.checkStep(abi.encodePacked(slot, price, quantity), slot, price, quantity);
    }

    function checkStep(bytes calldata bundle, uint8 slot, int24 price, int32 quantity) external pure {
        Step step = StepsLib.at(StepsLib.start(bundle));
        require(step.slot() == slot && step.price() == price && step.quantity() == quantity);
        require(int256(step.biasedPrice()) - int256(StepsLib.BIAS) == price);
    }

    function testFuzz_record__packed__readsBack(uint8 stage_, uint24 round_, uint64 money, bytes32 hash)
        external
        pure
    {
        Stage stage = Stage(stage_ % 4);
        round_ %= 1 << 22;
        uint256 lock = RecordsLib.lockUp(money >> 1);
        Record record = RecordsLib.pack(stage, round_, lock, hash);
        require(record.stage() == stage && record.round() == round_ && record.lock() == lock);
        require(lock >= money >> 1 && lock < (money >> 1) + (1 << 16));
        require(record.matches(stage, round_, hash));
    }

    function testFuzz_record__advanced__keepsLockAndRound(uint24 round_, uint48 units, bytes32 hash, bytes32 next)
        external
        pure
    {
        round_ %= 1 << 22;
        Record record = RecordsLib.pack(Stage.Bid, round_, uint256(units) << 16, hash);
        Record advanced = record.advance(Stage.Position, next);
        require(advanced.lock() == record.lock() && advanced.round() == round_);
        require(advanced.matches(Stage.Position, round_, next));
        require(!advanced.matches(Stage.Bid, round_, next));
        if (bytes23(hash) != bytes23(next)) require(!advanced.matches(Stage.Position, round_, hash));
    }

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
        require(narrow.int24At(i) == price);
        require(wide.int32At(2, k) == reading);
    }
}
