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

    IERC20Metadata public immutable token;
    address public immutable balancingParty;
    address public immutable networkAccount;
    uint256 private immutable _tokensPerCurrency;
    address private immutable _deployer;

    address public market;
    address public settlement;

    mapping(address => Account) private _accounts;
    mapping(address => uint256) private _claims;
    int128 private _clearingAccount;
    uint128 private _held;

    constructor(IERC20Metadata token_, IRegistry registry) {
        token = token_;
        _tokensPerCurrency = 10 ** token_.decimals();
        balancingParty = registry.parameters().balancingParty;
        networkAccount = registry.parameters().networkAccount;
        _deployer = msg.sender;
    }

    modifier only(address caller) {
        if (msg.sender != caller) revert NotConnectedCaller(msg.sender);
        _;
    }

    /// @notice The deployer names the two contracts that move money, once and for good.
    function connect(address market_, address settlement_) external only(_deployer) {
        if (market != address(0)) revert AlreadyConnected();
        market = market_;
        settlement = settlement_;
        emit Connected(market_, settlement_);
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
        _held += money.toUint128();
        Account memory a = _accounts[account];
        a.balance += money.toUint96();
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
        _accounts[msg.sender].balance = a.balance - money.toUint96();
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

    // ---------------------------------------------------------------- market

    /// @inheritdoc IVault
    function relock(address account, uint256 previous, uint256 next) external only(market) {
        Account memory a = _accounts[account];
        if (a.debt != 0) revert InDebt(account, a.debt);
        if (previous == next) return;
        if (next > previous && next - previous > _free(a)) {
            revert BalanceTooLow(account, _free(a), next - previous);
        }
        a.locked = (a.locked + next - previous).toUint80();
        _accounts[account] = a;
        emit LockChanged(account, a.locked);
    }

    /// @inheritdoc IVault
    function unlock(address account, uint256 lock) external only(market) {
        if (lock == 0) return;
        Account memory a = _accounts[account];
        a.locked -= lock.toUint80();
        _repay(account, a);
        _accounts[account] = a;
        emit LockChanged(account, a.locked);
    }

    /// @inheritdoc IVault
    function payNetwork(uint256 money) external only(market) {
        if (money == 0) return;
        _clearingAccount -= int256(money).toInt128();
        _accounts[networkAccount].balance += money.toUint96();
        emit NetworkPaid(networkAccount, money);
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IVault
    /// @dev Contract cash a member owes never exceeds its lock, so it is always there; imbalance may not be.
    function settle(address account, uint256 lock, int256 cash, int256 imbalance) external only(settlement) {
        Account memory a = _accounts[account];
        a.locked -= lock.toUint80();
        a.balance = (int256(uint256(a.balance)) + cash).toUint256().toUint96();
        _clearingAccount -= cash.toInt128();
        uint256 unpaid;
        if (account != balancingParty) {
            unpaid = imbalance < 0 ? _charge(a, uint256(-imbalance)) : _credit(account, a, uint256(imbalance));
            _repay(account, a);
        }
        _accounts[account] = a;
        emit Settled(account, cash, imbalance, unpaid);
    }

    /// @dev The member pays the balancing party what it can; the rest is its debt.
    function _charge(Account memory a, uint256 money) private returns (uint256 unpaid) {
        uint256 paid = Math.min(money, _free(a));
        unpaid = money - paid;
        a.balance -= paid.toUint96();
        a.debt += unpaid.toUint80();
        _accounts[balancingParty].balance += paid.toUint96();
    }

    /// @dev The balancing party pays the member what it can; the rest is the member's claim.
    function _credit(address account, Account memory a, uint256 money) private returns (uint256 unpaid) {
        Account memory party = _accounts[balancingParty];
        uint256 paid = Math.min(money, _free(party));
        unpaid = money - paid;
        if (paid != 0) {
            _accounts[balancingParty].balance = party.balance - paid.toUint96();
            a.balance += paid.toUint96();
        }
        if (unpaid != 0) _claims[account] += unpaid;
    }

    /// @dev Free money goes to an old debt first.
    function _repay(address account, Account memory a) private {
        if (a.debt == 0) return;
        uint256 paid = Math.min(a.debt, _free(a));
        if (paid == 0) return;
        a.debt -= paid.toUint80();
        a.balance -= paid.toUint96();
        _accounts[balancingParty].balance += paid.toUint96();
        emit DebtRepaid(account, paid);
    }

    /// @inheritdoc IVault
    function collect(address account) external returns (uint256 money) {
        uint256 claim = _claims[account];
        _claims[account] = 0;
        Account memory a = _accounts[account];
        money = claim - _credit(account, a, claim);
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
