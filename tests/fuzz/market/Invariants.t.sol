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

/// @notice Two markets in the fuzzer's hands: whatever is called in whatever order, I1 to I10 hold after each call, and from
/// wherever that led, time and anyone's calls bring everything to its end.
abstract contract Invariants {
    uint256 private constant WALK = 3000;

    Handler internal handler;

    event Reached(bytes4 call_, uint256 passed, uint256 refused);

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), _actions());
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function _actions() internal view virtual returns (bytes4[] memory);

    /// @dev The contracts' functions that have to have passed, and been refused, in a long walk.
    function _reached() internal view virtual returns (bytes4[] memory passed, bytes4[] memory refused);

    /// @dev What both markets have. What matters to how far an auction gets is listed twice, so that it is done more often.
    function _common() internal view returns (bytes4[24] memory) {
        return [
            handler.travel.selector,
            handler.travel.selector,
            handler.deposit.selector,
            handler.withdraw.selector,
            handler.collect.selector,
            handler.meddle.selector,
            handler.cancel.selector,
            handler.cancelSigned.selector,
            handler.release.selector,
            handler.clear.selector,
            handler.clearFalsified.selector,
            handler.clearInChunks.selector,
            handler.enter.selector,
            handler.postImbalance.selector,
            handler.postSubstitute.selector,
            handler.postFallback.selector,
            handler.dispute.selector,
            handler.decide.selector,
            handler.lapse.selector,
            handler.settle.selector,
            handler.settle.selector,
            handler.drawTokens.selector,
            handler.drawTokens.selector,
            handler.moveTokens.selector
        ];
    }

    function _rare() internal view returns (bytes4[9] memory) {
        return [
            handler.forgeTokens.selector,
            handler.pause.selector,
            handler.suspend.selector,
            handler.announceChange.selector,
            handler.adoptChange.selector,
            handler.announceQuorum.selector,
            handler.adoptQuorum.selector,
            handler.meddleWithRecords.selector,
            handler.bid.selector
        ];
    }

    function _joined(bytes4[] memory own) internal view returns (bytes4[] memory list) {
        list = new bytes4[](33 + own.length);
        for (uint256 i; i < 24; ++i) list[i] = _common()[i];
        for (uint256 i; i < 9; ++i) list[24 + i] = _rare()[i];
        for (uint256 i; i < own.length; ++i) list[33 + i] = own[i];
    }

    function invariant_I1toI10__afterAnyCall__hold() external {
        handler.check();
    }

    /// @notice The invariants would hold of a market in which nothing happens too. Here is what happens.
    function test_walk__long__everythingPassesAndIsRefusedSometimes() external {
        bytes4[] memory actions = _actions();
        uint256 seed = 1;
        for (uint256 i; i < WALK; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bytes32 what = keccak256(abi.encode(seed, "what"));
            bytes memory data =
                abi.encodePacked(actions[seed % actions.length], what, keccak256(abi.encode(what)), bytes32(seed));
            (bool done,) = address(handler).call(data);
            require(done, "an action failed");
            if (i % 16 == 0) handler.check();
        }
        handler.windUp();
        handler.check();
        (bytes4[] memory passed, bytes4[] memory refused) = _reached();
        for (uint256 i; i < passed.length; ++i) emit Reached(passed[i], handler.passed(passed[i]), handler.refused(passed[i]));
    }

    /// @dev [I5] at the end of every run.
    function afterInvariant() external {
        handler.windUp();
        handler.check();
    }
}

/// @notice A market with open bids and a ring as small as it can be with profit: two records.
contract OpenMarketInvariants is Invariants {
    function setUp() external {
        handler = new Handler(0, 2);
    }

    function _actions() internal view override returns (bytes4[] memory) {
        bytes4[] memory own = new bytes4[](4);
        own[0] = handler.bid.selector;
        own[1] = handler.bid.selector;
        own[2] = handler.bidSigned.selector;
        own[3] = handler.bidSigned.selector;
        return _joined(own);
    }

    function _reached() internal pure override returns (bytes4[] memory passed, bytes4[] memory refused) {
        passed = new bytes4[](26);
        passed[0]=IVault.deposit.selector;
        passed[1]=IVault.withdraw.selector;
        passed[2]=IVault.collect.selector;
        passed[3]=IMarket.bid.selector;
        passed[4]=IMarket.bidSigned.selector;
        passed[5]=IMarket.cancel.selector;
        passed[6]=IMarket.cancelSigned.selector;
        passed[7]=IMarket.release.selector;
        passed[8]=IMarket.seal.selector;
        passed[9]=IMarket.sealSigned.selector;
        passed[10]=IMarket.open.selector;
        passed[11]=IMarket.forfeit.selector;
        passed[12]=IClearing.clear.selector;
        passed[13]=IChunkedClearing.close.selector;
        passed[14]=IChunkedClearing.enter.selector;
        passed[15]=ISettlement.postImbalance.selector;
        passed[16]=ISettlement.postSubstitute.selector;
        passed[17]=ISettlement.postFallback.selector;
        passed[18]=ISettlement.settle.selector;
        passed[19]=ISettlement.drawTokens.selector;
        passed[20]=IOracleQuorum.dispute.selector;
        passed[21]=IOracleQuorum.decide.selector;
        passed[22]=IOracleQuorum.lapse.selector;
        passed[23]=IOracleQuorum.adoptQuorum.selector;
        passed[24]=IRegistry.adopt.selector;
        passed[25]=IEnergyToken.retire.selector;
    }
}

/// @notice A market whose bids stay sealed until the gate has closed.
contract SealedMarketInvariants is Invariants {
    function setUp() external {
        handler = new Handler(300, 3);
    }

    function _actions() internal view override returns (bytes4[] memory) {
        bytes4[] memory own = new bytes4[](7);
        own[0] = handler.seal.selector;
        own[1] = handler.seal.selector;
        own[2] = handler.sealSigned.selector;
        own[3] = handler.open.selector;
        own[4] = handler.open.selector;
        own[5] = handler.open.selector;
        own[6] = handler.forfeit.selector;
        return _joined(own);
    }

    function _reached() internal pure override returns (bytes4[] memory passed, bytes4[] memory refused) {
        passed = new bytes4[](26);
        passed[0]=IVault.deposit.selector;
        passed[1]=IVault.withdraw.selector;
        passed[2]=IVault.collect.selector;
        passed[3]=IMarket.bid.selector;
        passed[4]=IMarket.bidSigned.selector;
        passed[5]=IMarket.cancel.selector;
        passed[6]=IMarket.cancelSigned.selector;
        passed[7]=IMarket.release.selector;
        passed[8]=IMarket.seal.selector;
        passed[9]=IMarket.sealSigned.selector;
        passed[10]=IMarket.open.selector;
        passed[11]=IMarket.forfeit.selector;
        passed[12]=IClearing.clear.selector;
        passed[13]=IChunkedClearing.close.selector;
        passed[14]=IChunkedClearing.enter.selector;
        passed[15]=ISettlement.postImbalance.selector;
        passed[16]=ISettlement.postSubstitute.selector;
        passed[17]=ISettlement.postFallback.selector;
        passed[18]=ISettlement.settle.selector;
        passed[19]=ISettlement.drawTokens.selector;
        passed[20]=IOracleQuorum.dispute.selector;
        passed[21]=IOracleQuorum.decide.selector;
        passed[22]=IOracleQuorum.lapse.selector;
        passed[23]=IOracleQuorum.adoptQuorum.selector;
        passed[24]=IRegistry.adopt.selector;
        passed[25]=IEnergyToken.retire.selector;
    }
}
