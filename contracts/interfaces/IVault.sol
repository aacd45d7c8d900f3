// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice One account's money, in units of 1e-8 currency.
/// @param balance What the account has, locked or not
/// @param locked The part that stands behind live bids and unsettled positions
/// @param debt What it still owes the balancing party; while it does, it can neither bid nor withdraw
struct Account {
    uint96 balance;
    uint80 locked;
    uint80 debt;
}

/// @title Collateral in exact money units
interface IVault {
    event Deposited(address indexed account, address indexed payer, uint256 money, uint256 tokens);
    event Withdrawn(address indexed account, uint256 money, uint256 tokens);
    /// @notice `locked` is the account's total after the change.
    event LockChanged(address indexed account, uint256 locked);
    /// @notice One member's auction is paid: `cash` for its contracts, `imbalance` for what it delivered apart
    /// from them (both signed, positive = received). `unpaid` is what of the imbalance could not be paid at once,
    /// by the member (recorded as debt) or to it (recorded as claim).
    event Settled(address indexed account, int256 cash, int256 imbalance, uint256 unpaid);
    event NetworkPaid(address indexed networkAccount, uint256 money);
    event DebtRepaid(address indexed account, uint256 money);
    event ClaimPaid(address indexed account, uint256 money);
    event Connected(address indexed market, address indexed settlement);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error AmountTooSmall();
    error BalanceTooLow(address account, uint256 available, uint256 needed);
    error InDebt(address account, uint256 debt);

    /// @notice Pays collateral in for `account`; anyone may. Takes the tokens that make up whole money units.
    /// @param tokens At most this many, in the token's own units
    /// @return money What the account was credited
    function deposit(address account, uint256 tokens) external returns (uint256 money);

    /// @notice Pays out the sender's free money; a fraction of a token unit is kept back.
    function withdraw(uint256 money) external returns (uint256 tokens);

    /// @notice Pays the account what the balancing party still owes it, as far as it can; anyone may call.
    function collect(address account) external returns (uint256 money);

    /// @notice Market only: changes what is locked for one bid. No debt may be open, and raising it needs free money.
    function relock(address account, uint256 previous, uint256 next) external;

    /// @notice Market only: gives back the lock of a bid that is cancelled or void; a debt is repaid from it first.
    function unlock(address account, uint256 lock) external;

    /// @notice Market only: the network's income from one auction.
    function payNetwork(uint256 money) external;

    /// @notice Settlement only: releases the lock and pays one member's auction.
    function settle(address account, uint256 lock, int256 cash, int256 imbalance) external;

    function accountOf(address account) external view returns (Account memory);

    /// @notice What `account` can withdraw or put behind a bid.
    function available(address account) external view returns (uint256);

    /// @notice What the balancing party still owes `account`.
    function claimOf(address account) external view returns (uint256);

    /// @notice What contracts have paid in less what they have paid out, the network's income included. It is 0 once all
    /// members of all cleared auctions are settled; before, it depends on who was settled first, and where it is below 0,
    /// locks cover it. All balances and this always add up to what was deposited less what was withdrawn.
    function clearingAccount() external view returns (int256);

    /// @notice All deposits less all withdrawals.
    function held() external view returns (uint256);
}
