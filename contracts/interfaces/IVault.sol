// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice One account's money, in units of 1e-8 currency, and its seat in the market, all in one slot.
/// @param balance What the account has, locked or not
/// @param locked The part that stands behind live bids, unsettled positions, sealed bids and disputes
/// @param debt What it still owes the balancing party; while it does, it can neither bid nor withdraw
/// @param seat The zone it bids from, plus `SEATED` if it may bid: what a bid asks of the Registry, kept here because
/// a bid touches this slot anyhow
struct Account {
    uint80 balance;
    uint80 locked;
    uint80 debt;
    uint16 seat;
}

/// @title Collateral in exact money units
interface IVault {
    event Deposited(address indexed account, address indexed payer, uint256 money, uint256 tokens);
    event Withdrawn(address indexed account, uint256 money, uint256 tokens);
    /// @notice A part of the imbalance of the account's settlement could not be paid at once: by the member, which is
    /// its debt now (`unpaid` below 0), or to it, which is its claim now.
    event LeftUnpaid(address indexed account, int256 unpaid);
    event NetworkPaid(address indexed networkAccount, uint256 money);
    event DebtRepaid(address indexed account, uint256 money);
    event ClaimPaid(address indexed account, uint256 money);
    /// @notice What stood behind a sealed bid or a dispute went to the balancing party.
    event Forfeited(address indexed account, uint256 money);
    event Connected(address indexed market, address indexed clearing, address indexed settlement, address quorum);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error AmountTooSmall();
    /// @notice The vault takes no more than `room` at the moment.
    error VaultFull(uint256 room);
    error BalanceTooLow(address account, uint256 available, uint256 needed);
    error InDebt(address account, uint256 debt);
    error NotAMember(address account);
    /// @notice A booking would leave the account with less than nothing, or with less than is locked of it. Never happens.
    error BookingImpossible(address account);

    /// @notice Pays collateral in for `account`; anyone may. Takes the tokens that make up whole money units.
    /// @param tokens At most this many, in the token's own units
    /// @return money What the account was credited
    function deposit(address account, uint256 tokens) external returns (uint256 money);

    /// @notice Pays out the sender's free money; a fraction of a token unit is kept back.
    function withdraw(uint256 money) external returns (uint256 tokens);

    /// @notice Pays the account what the balancing party still owes it, as far as it can; anyone may call.
    function collect(address account) external returns (uint256 money);

    /// @notice Registry only: where `account` bids from, and whether it may.
    function seat(address account, uint16 zone, bool active) external;

    /// @notice Market and quorum only: changes what is locked for one purpose. The account must be a member that may
    /// bid, no debt may be open, and raising the lock needs free money.
    /// @return zone Where the account bids from
    function relock(address account, uint256 previous, uint256 next) external returns (uint256 zone);

    /// @notice Market only: as `relock`, but where that would revert it changes nothing and returns the error's selector.
    function tryToReserve(address account, uint256 previous, uint256 next)
        external
        returns (bytes4 refusal, uint256 zone);

    /// @notice Market only: changes a lock that stands already, whether or not the account may bid by now. If a debt is
    /// open, it is repaid from what that frees.
    /// @return zone Where the account bids from
    function adjust(address account, uint256 previous, uint256 next) external returns (uint256 zone);

    /// @notice Market and quorum only: gives back a lock; a debt is repaid from it first.
    function unlock(address account, uint256 lock) external;

    /// @notice Market and quorum only: what was locked goes to the balancing party.
    function forfeit(address account, uint256 lock) external;

    /// @notice Clearing only: the network's income from one auction.
    function payNetwork(uint256 money) external;

    /// @notice Settlement only: releases locks and pays members' auctions.
    /// @param payments `member address | cash int64 | imbalance int64` each, money units, positive = received
    /// @param locks What stood behind each
    function settle(bytes calldata payments, uint256[] calldata locks) external;

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
