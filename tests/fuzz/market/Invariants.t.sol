// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChunkedClearing} from "../../../contracts/interfaces/IChunkedClearing.sol";
import {IClearing} from "../../../contracts/interfaces/IClearing.sol";
import {IEnergyToken} from "../../../contracts/interfaces/IEnergyToken.sol";
import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {IOracleQuorum} from "../../../contracts/interfaces/IOracleQuorum.sol";
import {IRegistry} from "../../../contracts/interfaces/IRegistry.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {IVault} from "../../../contracts/interfaces/IVault.sol";
import {Handler} from "./Handler.sol";

/// @notice Two markets in the fuzzer's hands: whatever is called in whatever order, I1 to I10 hold after each call, and
/// from wherever that led, time and anyone's calls bring everything to its end.
abstract contract Invariants {
    uint256 private constant WALK = 10_000;

    Handler internal handler;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    error ActionFailed(bytes4 action, bytes answer);
    error NeverPassed(bytes4 call_);
    error NeverRefused(bytes4 call_);

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), _actions());
    }

    // ---------------------------------------------------------------- what the fuzzer does, and how often

    function _actions() private view returns (bytes4[] memory list) {
        bytes4[] memory bids = _bids();
        list = new bytes4[](3 * bids.length + 3 * 4 + 29);
        uint256 count;
        // what carries an auction on comes three times as often as the rest
        for (uint256 i; i < 3 * bids.length; ++i) list[count++] = bids[i % bids.length];
        for (uint256 i; i < 3 * 4; ++i) list[count++] = _steps()[i % 4];
        for (uint256 i; i < 12; ++i) list[count++] = _interludes()[i];
        for (uint256 i; i < 17; ++i) list[count++] = _others()[i];
    }

    function _bids() internal view virtual returns (bytes4[] memory);

    function _steps() private view returns (bytes4[4] memory) {
        return [
            handler.settle.selector,
            handler.drawTokens.selector,
            handler.postImbalance.selector,
            handler.dispute.selector
        ];
    }

    function _interludes() private view returns (bytes4[12] memory) {
        return [
            handler.travel.selector,
            handler.travel.selector,
            handler.postSubstitute.selector,
            handler.clear.selector,
            handler.clearInChunks.selector,
            handler.clearFalsified.selector,
            handler.enter.selector,
            handler.postFallback.selector,
            handler.decide.selector,
            handler.deposit.selector,
            handler.lapse.selector,
            handler.release.selector
        ];
    }

    function _others() private view returns (bytes4[17] memory) {
        return [
            handler.forfeit.selector,
            handler.withdraw.selector,
            handler.collect.selector,
            handler.meddle.selector,
            handler.meddleWithRecords.selector,
            handler.cancel.selector,
            handler.cancelSigned.selector,
            handler.moveTokens.selector,
            handler.moveTokens.selector,
            handler.forgeTokens.selector,
            handler.pause.selector,
            handler.suspend.selector,
            handler.announceChange.selector,
            handler.adoptChange.selector,
            handler.announceQuorum.selector,
            handler.adoptQuorum.selector,
            handler.catchUp.selector
        ];
    }

    // ---------------------------------------------------------------- what must hold

    function invariant_I1toI10__afterAnyCall__hold() external {
        handler.check();
    }

    /// @dev [I5] at the end of every run.
    function afterInvariant() external {
        handler.windUp();
        handler.check();
    }

    // ---------------------------------------------------------------- that it means something

    /// @notice The invariants hold of a market in which nothing happens too. In this one everything does.
    function test_walk__long__everythingPassesAndIsRefusedSometimes() external {
        bytes4[] memory actions = _actions();
        for (uint256 i; i < WALK; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            bytes memory arguments = abi.encode(keccak256(abi.encode(seed, 1)), keccak256(abi.encode(seed, 2)), seed);
            bytes4 action = actions[seed % actions.length];
            (bool done, bytes memory answer) = address(handler).call(bytes.concat(action, arguments));
            if (!done) revert ActionFailed(action, answer);
        }
        handler.windUp();
        handler.check();
        _requireReached(_ownCalls());
        bytes4[19] memory common = _commonCalls();
        for (uint256 i; i < common.length; ++i) _requireReached(common[i], i != 0);
        require(handler.debtsSeen() != 0, "nobody was ever in debt");
    }

    function _requireReached(bytes4[] memory calls) private view {
        for (uint256 i; i < calls.length; ++i) _requireReached(calls[i], true);
    }

    function _requireReached(bytes4 call_, bool refusable) private view {
        if (handler.passed(call_) == 0) revert NeverPassed(call_);
        if (refusable && handler.refused(call_) == 0) revert NeverRefused(call_);
    }

    function _ownCalls() internal pure virtual returns (bytes4[] memory);

    /// @dev The first is never refused.
    function _commonCalls() private pure returns (bytes4[19] memory) {
        return [
            IVault.collect.selector,
            IVault.withdraw.selector,
            IMarket.cancel.selector,
            IMarket.cancelSigned.selector,
            IMarket.release.selector,
            IClearing.clear.selector,
            IChunkedClearing.close.selector,
            IChunkedClearing.enter.selector,
            ISettlement.postImbalance.selector,
            ISettlement.postSubstitute.selector,
            ISettlement.postFallback.selector,
            ISettlement.settle.selector,
            ISettlement.drawTokens.selector,
            IOracleQuorum.dispute.selector,
            IOracleQuorum.decide.selector,
            IOracleQuorum.lapse.selector,
            IOracleQuorum.adoptQuorum.selector,
            IRegistry.adopt.selector,
            IEnergyToken.retire.selector
        ];
    }
}

/// @notice A market with open bids.
contract OpenMarketInvariants is Invariants {
    function setUp() external {
        handler = new Handler(0, 3);
    }

    function _bids() internal view override returns (bytes4[] memory list) {
        list = new bytes4[](2);
        list[0] = handler.bid.selector;
        list[1] = handler.bidSigned.selector;
    }

    function _ownCalls() internal pure override returns (bytes4[] memory list) {
        list = new bytes4[](2);
        list[0] = IMarket.bid.selector;
        list[1] = IMarket.bidSigned.selector;
    }
}

/// @notice A market whose bids stay sealed until the gate has closed, with a ring so small that records are fought over.
contract SealedMarketInvariants is Invariants {
    function setUp() external {
        handler = new Handler(300, 2);
    }

    function _bids() internal view override returns (bytes4[] memory list) {
        list = new bytes4[](4);
        list[0] = handler.seal.selector;
        list[1] = handler.sealSigned.selector;
        list[2] = handler.open.selector;
        list[3] = handler.open.selector;
    }

    function _ownCalls() internal pure override returns (bytes4[] memory list) {
        list = new bytes4[](4);
        list[0] = IMarket.seal.selector;
        list[1] = IMarket.sealSigned.selector;
        list[2] = IMarket.open.selector;
        list[3] = IMarket.forfeit.selector;
    }
}
