// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Account, IVault} from "./interfaces/IVault.sol";

/// @title Vault
/// @notice Holds everybody's collateral and books every payment. To members it guarantees that the balances and the
/// clearing account add up to what was deposited less what was withdrawn, to the last unit, that no balance ever
/// goes below what is locked of it, and that free money can be withdrawn at any time by its owner and nobody else.
/// @custom:halt Nobody can: there is no owner and no pause.
contract Vault is IVault, ReentrancyGuard {
    using SafeCast for uint256;
    using SafeCast for int256;
    using SafeERC20 for IERC20Metadata;

    /// @notice Money units in one unit of currency.
    uint256 public constant MONEY_PER_CURRENCY = 1e8;

    /// @notice The most the vault takes in, so that no booking can ever overflow: 6e15 of currency.
    uint256 public constant MAX_HELD = 1 << 79;

    /// @notice The bit of an account's seat that says it may bid.
    uint16 public constant SEATED = 1 << 15;

    IERC20Metadata public immutable token;
    address public immutable registry;
    address public immutable balancingParty;
    address public immutable networkAccount;
    uint256 private immutable _tokensPerCurrency;
    address private immutable _deployer;

    address public market;
    address public clearing;
    address public settlement;
    address public quorum;

    mapping(address => Account) private _accounts;
    mapping(address => uint256) private _claims;
    int128 private _clearingAccount;
    uint128 private _held;

    constructor(IERC20Metadata token_, IRegistry registry_) {
        token = token_;
        _tokensPerCurrency = 10 ** token_.decimals();
        registry = address(registry_);
        balancingParty = registry_.parameters().balancingParty;
        networkAccount = registry_.parameters().networkAccount;
        _deployer = msg.sender;
    }

    modifier only(address caller) {
        if (msg.sender != caller) revert NotConnectedCaller(msg.sender);
        _;
    }

    modifier onlyLockers() {
        if (msg.sender != market && msg.sender != quorum) revert NotConnectedCaller(msg.sender);
        _;
    }

    /// @notice The deployer names the contracts that lock and move money, once and for good.
    function connect(address market_, address clearing_, address settlement_, address quorum_)
        external
        only(_deployer)
    {
        if (market != address(0)) revert AlreadyConnected();
        market = market_;
        clearing = clearing_;
        settlement = settlement_;
        quorum = quorum_;
        emit Connected(market_, clearing_, settlement_, quorum_);
    }

    // ---------------------------------------------------------------- in and out

    /// @inheritdoc IVault
    function deposit(address account, uint256 tokens) external nonReentrant returns (uint256 money) {
        uint256 due = _tokensUp(_moneyDown(tokens));
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), due);
        // what arrived counts, not what was sent: a token may take a fee on the way
        money = _moneyDown(Math.min(due, token.balanceOf(address(this)) - before));
        if (money == 0) revert AmountTooSmall();
        if (_held + money > MAX_HELD) revert VaultFull(MAX_HELD - _held);
        _held += money.toUint128();
        Account memory a = _accounts[account];
        a.balance += money.toUint80();
        _repay(account, a);
        _accounts[account] = a;
        emit Deposited(account, msg.sender, money, due);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 money) external nonReentrant returns (uint256 tokens) {
        Account memory a = _accounts[msg.sender];
        if (a.debt != 0) revert InDebt(msg.sender, a.debt);
        if (money > _free(a)) revert BalanceTooLow(msg.sender, _free(a), money);
        tokens = _tokensDown(money);
        if (tokens == 0) revert AmountTooSmall();
        _accounts[msg.sender].balance = a.balance - money.toUint80();
        _held -= money.toUint128();
        emit Withdrawn(msg.sender, money, tokens);
        token.safeTransfer(msg.sender, tokens);
    }

    function _moneyDown(uint256 tokens) private view returns (uint256) {
        return Math.mulDiv(tokens, MONEY_PER_CURRENCY, _tokensPerCurrency);
    }

    function _tokensDown(uint256 money) private view returns (uint256) {
        return Math.mulDiv(money, _tokensPerCurrency, MONEY_PER_CURRENCY);
    }

    function _tokensUp(uint256 money) private view returns (uint256) {
        return Math.mulDiv(money, _tokensPerCurrency, MONEY_PER_CURRENCY, Math.Rounding.Ceil);
    }

    // ---------------------------------------------------------------- locks

    /// @inheritdoc IVault
    function seat(address account, uint16 zone, bool active) external only(registry) {
        _accounts[account].seat = active ? zone | SEATED : zone;
    }

    /// @inheritdoc IVault
    function relock(address account, uint256 previous, uint256 next) external onlyLockers returns (uint256 zone) {
        Account memory a = _accounts[account];
        if (a.seat & SEATED == 0) revert NotAMember(account);
        if (a.debt != 0) revert InDebt(account, a.debt);
        return _adjust(account, a, previous, next);
    }

    /// @inheritdoc IVault
    function adjust(address account, uint256 previous, uint256 next) external only(market) returns (uint256 zone) {
        return _adjust(account, _accounts[account], previous, next);
    }

    function _adjust(address account, Account memory a, uint256 previous, uint256 next)
        private
        returns (uint256 zone)
    {
        if (!_affords(a, previous, next)) revert BalanceTooLow(account, _free(a), next - previous);
        _move(account, a, previous, next);
        return a.seat & ~SEATED;
    }

    /// @inheritdoc IVault
    function tryToReserve(address account, uint256 previous, uint256 next)
        external
        only(market)
        returns (bytes4 refusal, uint256 zone)
    {
        Account storage s = _accounts[account];
        (uint256 locked, uint256 seat_) = (s.locked, s.seat);
        unchecked {
            // nothing here comes near 2^256, and a balance is never below what is locked of it
            uint256 needed = locked + next - previous;
            if (seat_ < SEATED) return (NotAMember.selector, 0);
            if (s.debt != 0) return (InDebt.selector, 0);
            if (needed > s.balance && next > previous) return (BalanceTooLow.selector, 0);
            if (next != previous) s.locked = uint80(needed);
            return (0, seat_ - SEATED);
        }
    }

    function _affords(Account memory a, uint256 previous, uint256 next) private pure returns (bool) {
        return next <= previous || next - previous <= _free(a);
    }

    function _move(address account, Account memory a, uint256 previous, uint256 next) private {
        if (previous == next) return;
        a.locked = (uint256(a.locked) + next - previous).toUint80();
        _accounts[account] = a;
    }

    /// @inheritdoc IVault
    function unlock(address account, uint256 lock) external onlyLockers {
        if (lock == 0) return;
        Account memory a = _accounts[account];
        a.locked -= lock.toUint80();
        _repay(account, a);
        _accounts[account] = a;
    }

    /// @inheritdoc IVault
    function forfeit(address account, uint256 lock) external onlyLockers {
        _accounts[account].locked -= lock.toUint80();
        _accounts[account].balance -= lock.toUint80();
        _accounts[balancingParty].balance += lock.toUint80();
        emit Forfeited(account, lock);
    }

    /// @inheritdoc IVault
    function payNetwork(uint256 money) external only(clearing) {
        if (money == 0) return;
        _clearingAccount -= int256(money).toInt128();
        _accounts[networkAccount].balance += money.toUint80();
        emit NetworkPaid(networkAccount, money);
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IVault
    /// @dev Contract cash a member owes never exceeds its lock, so it is always there; imbalance may not be.
    function settleCash(address account, uint256 lock, int256 cash, int256 imbalance) external only(settlement) {
        Account memory a = _accounts[account];
        a.locked -= lock.toUint80();
        a.balance = (int256(uint256(a.balance)) + cash).toUint256().toUint80();
        if (cash != 0) _clearingAccount -= cash.toInt128();
        if (account != balancingParty) {
            int256 unpaid =
                imbalance < 0 ? -_charge(a, uint256(-imbalance)) : _credit(account, a, uint256(imbalance));
            _repay(account, a);
            if (unpaid != 0) emit LeftUnpaid(account, unpaid);
        }
        _accounts[account] = a;
    }

    /// @dev The member pays the balancing party what it can; the rest is its debt.
    function _charge(Account memory a, uint256 money) private returns (int256 unpaid) {
        uint256 paid = Math.min(money, _free(a));
        unpaid = int256(money - paid);
        a.balance -= paid.toUint80();
        a.debt += (money - paid).toUint80();
        _accounts[balancingParty].balance += paid.toUint80();
    }

    /// @dev The balancing party pays the member what it can; the rest is the member's claim.
    function _credit(address account, Account memory a, uint256 money) private returns (int256 unpaid) {
        Account memory party = _accounts[balancingParty];
        uint256 paid = Math.min(money, _free(party));
        unpaid = int256(money - paid);
        if (paid != 0) {
            _accounts[balancingParty].balance = party.balance - paid.toUint80();
            a.balance += paid.toUint80();
        }
        if (paid != money) _claims[account] += money - paid;
    }

    /// @dev Free money goes to an old debt first.
    function _repay(address account, Account memory a) private {
        if (a.debt == 0) return;
        uint256 paid = Math.min(a.debt, _free(a));
        if (paid == 0) return;
        a.debt -= paid.toUint80();
        a.balance -= paid.toUint80();
        _accounts[balancingParty].balance += paid.toUint80();
        emit DebtRepaid(account, paid);
    }

    /// @inheritdoc IVault
    function collect(address account) external returns (uint256 money) {
        uint256 claim = _claims[account];
        _claims[account] = 0;
        Account memory a = _accounts[account];
        money = claim - uint256(_credit(account, a, claim));
        _repay(account, a);
        _accounts[account] = a;
        emit ClaimPaid(account, money);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IVault
    function accountOf(address account) external view returns (Account memory) {
        return _accounts[account];
    }

    /// @inheritdoc IVault
    function available(address account) external view returns (uint256) {
        Account memory a = _accounts[account];
        return a.debt == 0 ? _free(a) : 0;
    }

    /// @inheritdoc IVault
    function claimOf(address account) external view returns (uint256) {
        return _claims[account];
    }

    /// @inheritdoc IVault
    function clearingAccount() external view returns (int256) {
        return _clearingAccount;
    }

    /// @inheritdoc IVault
    function held() external view returns (uint256) {
        return _held;
    }

    function _free(Account memory a) private pure returns (uint256) {
        return a.balance - a.locked;
    }
}
