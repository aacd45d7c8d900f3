// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Account, IVault} from "../../../contracts/interfaces/IVault.sol";
import {World} from "./World.sol";

/// @notice Paying in, paying out, and what the balancing party owes.
abstract contract MoneyActions is World {
    uint256 private constant MOST_TOKENS = 5e7;

    function deposit(uint256 who, uint256 tokens) external now_ {
        tokens %= MOST_TOKENS;
        _attempt(tokens != 0, address(this), address(vault), abi.encodeCall(IVault.deposit, (_anybody(who), tokens)));
    }

    /// @notice Up to all that is free, and now and then more.
    function withdraw(uint256 who, uint256 share) external now_ {
        address account = who % 16 == 15 ? NETWORK : _anybody(who);
        Account memory a = vault.accountOf(account);
        uint256 free = a.balance - a.locked;
        uint256 money = free * (share % 130) / 100;
        bool allowed = a.debt == 0 && money <= free && money >= TOKENS_TO_MONEY; // [I9]
        uint256 before = euro.balanceOf(account);
        if (!_attempt(allowed, account, address(vault), abi.encodeCall(IVault.withdraw, (money)))) return;
        require(euro.balanceOf(account) - before == money / TOKENS_TO_MONEY, "withdrawal");
    }

    function collect(uint256 who) external now_ {
        address account = _anybody(who);
        uint256 claim = vault.claimOf(account);
        Account memory party = vault.accountOf(members[0]);
        uint256 paid = claim < party.balance - party.locked ? claim : party.balance - party.locked;
        _attempt(true, STRANGER, address(vault), abi.encodeCall(IVault.collect, (account)));
        require(vault.claimOf(account) == claim - paid, "claim");
    }

    /// @notice Nobody but the connected contracts moves money.
    function meddle(uint256 who, uint256 what) external now_ {
        bytes[7] memory calls = [
            abi.encodeCall(IVault.relock, (_member(what), 0, 1)),
            abi.encodeCall(IVault.unlock, (_member(what), 1)),
            abi.encodeCall(IVault.forfeit, (_member(what), 1)),
            abi.encodeCall(IVault.payNetwork, (1)),
            abi.encodeCall(IVault.settle, (_payment(_member(what)), new uint256[](1))),
            abi.encodeCall(IVault.adjust, (_member(what), 0, 1)),
            abi.encodeCall(IVault.seat, (_member(what), 1, true))
        ];
        _attempt(false, who % 3 == 0 ? OWNER : _anybody(who), address(vault), calls[what / 8 % 7]);
    }

    function _payment(address account) private pure returns (bytes memory) {
        return abi.encodePacked(account, int64(1), int64(1));
    }
}
