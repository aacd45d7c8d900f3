// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChunkedClearing} from "../../../contracts/interfaces/IChunkedClearing.sol";
import {AuctionState, IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {Evidence, ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Account, IVault} from "../../../contracts/interfaces/IVault.sol";
import {Record, Stage} from "../../../contracts/libraries/Records.sol";
import {vm} from "../Vm.sol";
import {ClearActions} from "./ClearActions.sol";
import {MoneyActions} from "./MoneyActions.sol";
import {OfficeActions} from "./OfficeActions.sol";
import {SealActions} from "./SealActions.sol";
import {IERC1155Part, SettleActions} from "./SettleActions.sol";
import {World} from "./World.sol";

/// @title Handler
/// @notice All that the fuzzer can do in a market, and what must hold after whatever it did: I1 to I10 of
/// docs/invariants.md. [I9], a debt stops bids and withdrawals, is part of what the actions expect.
contract Handler is MoneyActions, OfficeActions, SealActions, ClearActions, SettleActions {
    mapping(uint256 auction => bool) private _ended;

    constructor(uint256 revealWindow, uint256 ring) World(revealWindow, ring) {}

    // ---------------------------------------------------------------- after every call

    function check() external {
        vm.warp(clock);
        _checkMoney();
        for (uint256 i; i < members.length; ++i) _checkMember(members[i]);
        for (uint256 i = auctions.length; i != 0 && i + 6 > auctions.length; --i) _checkAuction(auctions[i - 1]);
    }

    /// @dev [I1] All balances and the clearing account are what was paid in less what was paid out, and the vault has it.
    function _checkMoney() private view {
        int256 sum = vault.clearingAccount();
        for (uint256 i; i < members.length; ++i) sum += int256(uint256(vault.accountOf(members[i]).balance));
        sum += int256(uint256(vault.accountOf(NETWORK).balance));
        sum += int256(uint256(vault.accountOf(STRANGER).balance));
        require(sum >= 0 && uint256(sum) == vault.held(), "I1: balances and clearing account are not what is held");
        uint256 backing = euro.balanceOf(address(vault)) * TOKENS_TO_MONEY;
        require(backing >= vault.held(), "I1: the vault's tokens do not cover what is held");
    }

    function _checkMember(address member) private view {
        Account memory a = vault.accountOf(member);
        require(a.locked <= a.balance, "I2: more is locked than there is");
        uint256 locked;
        for (uint256 place; place < RING; ++place) {
            Record record = _record(place, member);
            require(Record.unwrap(record) == Record.unwrap(seen[place][member]), "I6: a record changed by itself");
            if (!record.idle()) locked += record.lock();
        }
        for (uint256 i; i < disputes.length; ++i) if (disputes[i].disputant == member) locked += DISPUTE_BOND;
        require(a.locked == locked, "I3: locks and records differ");
    }

    function _checkAuction(uint256 auction) private view {
        Past storage past = pasts[auction];
        AuctionState memory state = market.auctionOf(auction);
        require(state.cleared == past.cleared, "I10: cleared by something else than a clearing");
        if (past.cleared) {
            require(state.prices == bytes29(keccak256(past.prices)), "I10: other prices than the canonical ones");
            require(state.liveBids == past.live, "I7: the number of bids changed after clearing");
            require(settlement.totalsOf(auction).settled == past.settled, "I8: settled more or less than once");
            require(past.settled <= past.live, "I8: more settled than there were");
        } else if (!_isVoid(auction)) {
            uint256 live;
            for (uint256 i; i < members.length; ++i) if (_isLive(auction, members[i])) ++live;
            require(state.liveBids == live, "I7: live bids miscounted");
        }
        _checkEnergy(auction);
    }

    /// @dev [I4] No more energy tokens than metered energy, and none but issued and not retired ones in anybody's hands.
    function _checkEnergy(uint256 auction) private view {
        for (uint8 source = 1; source < 4; ++source) {
            uint256 id = auction << 8 | source;
            uint256 issued = token.issued(id);
            if (issued == 0) continue;
            require(issued <= pasts[auction].injected[source], "I4: more tokens than metered injection");
            uint256 held;
            for (uint256 i; i < members.length; ++i) held += IERC1155Part(address(token)).balanceOf(members[i], id);
            require(held + token.retired(id) == issued, "I4: tokens out of nothing");
        }
    }

    // ---------------------------------------------------------------- the end of all auctions

    /// @notice Somebody brings to their end the auctions whose last deadline has passed.
    function catchUp() external now_ {
        for (uint256 i = disputes.length; i != 0; --i) _lapse(i - 1);
        for (uint256 i; i < auctions.length; ++i) if (clock >= _deemedFrom(auctions[i])) _end(auctions[i]);
    }

    /// @notice [I5] Whatever the state, time and anybody's calls alone free every record and every lock, bring the clearing
    /// account to 0 and leave nothing that its owner can't take out, but for what it owes.
    function windUp() external {
        clock = _deemedFrom(_current() + 3);
        vm.warp(clock);
        while (disputes.length != 0) _lapse(disputes.length - 1);
        for (uint256 i; i < auctions.length; ++i) _end(auctions[i]);
        for (uint256 i; i < members.length; ++i) {
            for (uint256 place; place < RING; ++place) {
                require(_record(place, members[i]).idle(), "I5: a record that nobody can free");
            }
        }
        require(vault.clearingAccount() == 0, "I5, I8: the clearing account is not even");
        for (uint256 i; i < members.length; ++i) _takeOut(members[i]);
        _takeOut(NETWORK);
        _takeOut(STRANGER);
    }

    function _end(uint256 auction) private {
        if (_ended[auction]) return;
        _ended[auction] = true;
        for (uint256 i; i < members.length; ++i) {
            if (!_record(auction, members[i]).at(Stage.Sealed, auction / RING)) continue;
            _attempt(true, STRANGER, address(market), abi.encodeCall(IMarket.forfeit, (auction, members[i])));
            _note(auction, members[i]);
        }
        if (pasts[auction].cleared) _settleRest(auction);
        else _releaseRest(auction);
    }

    function _releaseRest(uint256 auction) private {
        for (uint256 i; i < members.length; ++i) {
            if (!_isLive(auction, members[i])) continue;
            address[] memory named = new address[](1);
            named[0] = members[i];
            _attempt(true, STRANGER, address(market), abi.encodeCall(IMarket.release, (auction, named)));
            _note(auction, members[i]);
        }
    }

    function _settleRest(uint256 auction) private {
        Past storage past = pasts[auction];
        for (uint256 i; i < past.chunks.length; ++i) {
            bytes memory data = abi.encodeCall(IChunkedClearing.enter, (auction, past.chunks, i, past.entries[i]));
            _attempt(true, STRANGER, address(clearing), data);
        }
        if (_pricesInForce(auction).length == 0) {
            _attempt(true, STRANGER, address(settlement), abi.encodeCall(ISettlement.postFallback, (auction, past.prices)));
            past.fallbackPrices = _spread(past.prices, 0, 0);
        }
        for (uint256 i; i < members.length; ++i) {
            if (_isOpenPosition(auction, members[i])) _settleDeemed(auction, members[i]);
        }
        require(past.settled == past.live, "I5: somebody was not settled");
    }

    function _settleDeemed(uint256 auction, address member) private {
        Part storage part = parts[auction][member];
        bytes memory delivery =
            abi.encodePacked(member, uint8(2), _position(part.zone, part.cash, part.fills));
        bytes memory data = abi.encodeCall(ISettlement.settle, (auction, _pricesInForce(auction), delivery));
        _attempt(true, STRANGER, address(settlement), data);
        Delivery memory d;
        d.member = member;
        d.evidence = Evidence.Deemed;
        _book(auction, d);
    }

    /// @dev Who is in debt has nothing left to take: it went to the debt.
    function _takeOut(address account) private {
        _attempt(true, STRANGER, address(vault), abi.encodeCall(IVault.collect, (account)));
        Account memory a = vault.accountOf(account);
        require(a.locked == 0, "I5: a lock that nobody can free");
        if (a.debt != 0) require(a.balance == 0, "I5: a debt while there is money");
        bool allowed = a.balance >= TOKENS_TO_MONEY && a.debt == 0; // [I9]
        _attempt(allowed, account, address(vault), abi.encodeCall(IVault.withdraw, (a.balance)));
    }
}
