// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Account, IVault} from "./interfaces/IVault.sol";
import {Packed} from "./libraries/Packed.sol";

/// @title Vault
/// @notice Holds everybody's collateral and books every payment. To members it guarantees that the balances and the
/// clearing account add up to what was deposited less what was withdrawn, to the last unit, that no balance ever
/// goes below what is locked of it, and that free money can be withdrawn at any time by its owner and nobody else.
/// @custom:halt Nobody can: there is no owner and no pause.
contract Vault is IVault, ReentrancyGuard {
    using SafeCast for uint256;
    using SafeCast for int256;
    using SafeERC20 for IERC20Metadata;
    using Packed for bytes;

    /// @notice Money units in one unit of currency.
    uint256 public constant MONEY_PER_CURRENCY = 1e8;

    uint256 private constant PAYMENT_BYTES = 36;

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

    /// @dev An `Account` in one word: `seat 16 | debt 80 | locked 80 | balance 80`, most significant first.
    mapping(address account => Word) private _accounts;
    mapping(address => uint256) private _claims;
    int128 private _clearingAccount;
    uint128 private _held;

    /// @dev A word in storage, so that where it is need not be worked out twice.
    struct Word {
        uint256 value;
    }

    /// @dev An account as it is worked on.
    struct Books {
        uint256 balance;
        uint256 locked;
        uint256 debt;
        uint256 seat;
    }

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
        if (market_ == address(0) || clearing_ == address(0)) revert NotConnectedCaller(address(0));
        if (settlement_ == address(0) || quorum_ == address(0)) revert NotConnectedCaller(address(0));
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
        if (money < 1) revert AmountTooSmall();
        if (_held + money > MAX_HELD) revert VaultFull(MAX_HELD - _held);
        _held += money.toUint128();
        Books memory b = _load(account);
        b.balance += money;
        _repayAndStore(account, b);
        emit Deposited(account, msg.sender, money, due);
    }

    /// @inheritdoc IVault
    function withdraw(uint256 money) external nonReentrant returns (uint256 tokens) {
        Books memory b = _load(msg.sender);
        if (b.debt != 0) revert InDebt(msg.sender, b.debt);
        if (money > _free(b)) revert BalanceTooLow(msg.sender, _free(b), money);
        tokens = _tokensDown(money);
        if (tokens == 0) revert AmountTooSmall();
        b.balance -= money;
        _store(msg.sender, b);
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
        Books memory b = _load(account);
        b.seat = active ? zone | SEATED : zone;
        _store(account, b);
    }

    /// @inheritdoc IVault
    function relock(address account, uint256 previous, uint256 next) external onlyLockers returns (uint256 zone) {
        Books memory b = _load(account);
        if (b.seat < SEATED) revert NotAMember(account);
        if (b.debt != 0) revert InDebt(account, b.debt);
        return _adjust(account, b, previous, next);
    }

    /// @inheritdoc IVault
    function adjust(address account, uint256 previous, uint256 next) external only(market) returns (uint256 zone) {
        return _adjust(account, _load(account), previous, next);
    }

    function _adjust(address account, Books memory b, uint256 previous, uint256 next)
        private
        returns (uint256 zone)
    {
        if (!_affords(b, previous, next)) revert BalanceTooLow(account, _free(b), next - previous);
        if (previous != next) {
            unchecked {
                b.locked = b.locked + next - previous;
            }
            _repayAndStore(account, b);
        }
        return b.seat & ~uint256(SEATED);
    }

    /// @inheritdoc IVault
    function tryToReserve(address account, uint256 previous, uint256 next)
        external
        only(market)
        returns (bytes4 refusal, uint256 zone)
    {
        Word storage place = _accounts[account];
        uint256 word = place.value;
        unchecked {
            if (word >> 240 < SEATED) return (NotAMember.selector, 0);
            if (uint80(word >> 160) != 0) return (InDebt.selector, 0);
            // a balance is never below what is locked of it; so in its field, the sum below neither borrows nor carries
            if (next > previous && next - previous > uint256(uint80(word)) - uint80(word >> 80)) {
                return (BalanceTooLow.selector, 0);
            }
            if (next != previous) place.value = word + (next - previous << 80);
            return (0, (word >> 240) - SEATED);
        }
    }

    function _affords(Books memory b, uint256 previous, uint256 next) private pure returns (bool) {
        unchecked {
            return next <= previous || next - previous <= b.balance - b.locked;
        }
    }

    /// @inheritdoc IVault
    function unlock(address account, uint256 lock) external onlyLockers {
        if (lock == 0) return;
        Books memory b = _load(account);
        b.locked -= lock;
        _repayAndStore(account, b);
    }

    /// @inheritdoc IVault
    function forfeit(address account, uint256 lock) external onlyLockers {
        Books memory b = _load(account);
        b.locked -= lock;
        b.balance -= lock;
        _store(account, b);
        _receive(balancingParty, lock);
        emit Forfeited(account, lock);
    }

    /// @inheritdoc IVault
    function payNetwork(uint256 money) external only(clearing) {
        if (money == 0) return;
        _clearingAccount -= int256(money).toInt128();
        _receive(networkAccount, money);
        emit NetworkPaid(networkAccount, money);
    }

    function _receive(address account, uint256 money) private {
        Books memory b = _load(account);
        b.balance += money;
        _store(account, b);
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IVault
    /// @dev Contract cash a member owes never exceeds its lock, so it is always there; imbalance may not be. What all of
    /// them share, the balancing party's account and the clearing account, is written once. Settlement logs every payment.
    // slither-disable-next-line events-maths
    function settle(bytes calldata payments, uint256[] calldata locks) external only(settlement) {
        Books memory party = _load(balancingParty);
        int256 clearing_ = _clearingAccount;
        uint256 at = payments.start();
        unchecked {
            for (uint256 i; i < locks.length; ++i) {
                uint256 lock = locks[i];
                address account = address(bytes20(Packed.word(at)));
                (int256 cash, int256 imbalance) = Packed.int64sAt(at + 20);
                at += PAYMENT_BYTES;
                clearing_ -= cash;
                if (account == balancingParty) _take(party, lock, cash);
                else if (!_settleAtOnce(account, party, lock, cash, imbalance)) {
                    _settleFully(account, party, lock, cash, imbalance);
                }
            }
        }
        _store(balancingParty, party);
        _clearingAccount = clearing_.toInt128();
    }

    /// @dev Where there is no old debt and both can pay, which is the rule, imbalance changes hands and no more; otherwise
    /// this changes nothing.
    function _settleAtOnce(address account, Books memory party, uint256 lock, int256 cash, int256 imbalance)
        private
        returns (bool settled)
    {
        Word storage place = _accounts[account];
        uint256 word = place.value;
        unchecked {
            uint256 locked = uint80(word >> 80) - lock;
            uint256 balance = uint80(word) + uint256(cash);
            if (uint80(word >> 160) != 0) return false;
            if (imbalance > int256(_free(party)) || -imbalance > int256(balance - locked)) return false;
            party.balance -= uint256(imbalance);
            balance += uint256(imbalance);
            _requirePossible(account, balance, locked);
            place.value = word >> 160 << 160 | locked << 80 | balance;
            return true;
        }
    }

    function _settleFully(address account, Books memory party, uint256 lock, int256 cash, int256 imbalance) private {
        Books memory b = _load(account);
        _take(b, lock, cash);
        _balance(account, b, party, imbalance);
        _store(account, b);
    }

    /// @dev Contract cash, and the lock that stood behind it.
    function _take(Books memory b, uint256 lock, int256 cash) private pure {
        unchecked {
            b.locked -= lock;
            b.balance += uint256(cash);
        }
    }

    /// @dev Imbalance, between the member and the balancing party; then free money goes to an old debt.
    function _balance(address account, Books memory b, Books memory party, int256 imbalance) private {
        unchecked {
            if (imbalance < 0) _charge(account, b, party, uint256(-imbalance));
            else _credit(account, b, party, uint256(imbalance));
        }
        if (b.debt != 0) _repay(account, b, party);
    }

    /// @dev The member pays the balancing party what it can; the rest is its debt.
    function _charge(address account, Books memory b, Books memory party, uint256 money) private {
        unchecked {
            uint256 paid = Math.min(money, _free(b));
            b.balance -= paid;
            party.balance += paid;
            if (paid < money) {
                b.debt += money - paid;
                emit LeftUnpaid(account, -int256(money - paid));
            }
        }
    }

    /// @dev The balancing party pays the member what it can; the rest is the member's claim.
    function _credit(address account, Books memory b, Books memory party, uint256 money) private {
        unchecked {
            uint256 paid = Math.min(money, _free(party));
            party.balance -= paid;
            b.balance += paid;
            if (paid < money) {
                _claims[account] += money - paid;
                emit LeftUnpaid(account, int256(money - paid));
            }
        }
    }

    function _repay(address account, Books memory b, Books memory party) private {
        uint256 paid = Math.min(b.debt, _free(b));
        b.debt -= paid;
        b.balance -= paid;
        party.balance += paid;
        if (paid > 0) emit DebtRepaid(account, paid);
    }

    /// @inheritdoc IVault
    function collect(address account) external returns (uint256 money) {
        uint256 claim = _claims[account];
        Books memory party = _load(balancingParty);
        money = Math.min(claim, _free(party));
        if (money < 1) return 0;
        _claims[account] = claim - money;
        party.balance -= money;
        _store(balancingParty, party);
        emit ClaimPaid(account, money);
        Books memory b = _load(account);
        b.balance += money;
        _repayAndStore(account, b);
    }

    // ---------------------------------------------------------------- books

    /// @dev The balancing party itself is never in debt.
    function _repayAndStore(address account, Books memory b) private {
        if (b.debt != 0) {
            Books memory party = _load(balancingParty);
            _repay(account, b, party);
            _store(balancingParty, party);
        }
        _store(account, b);
    }

    function _load(address account) private view returns (Books memory b) {
        uint256 word = _accounts[account].value;
        b.balance = uint80(word);
        b.locked = uint80(word >> 80);
        b.debt = uint80(word >> 160);
        b.seat = word >> 240;
    }

    /// @dev Every change of an account ends here or in `_settleAtOnce`, and none that went below 0, beyond its bits, or below what is locked
    /// comes through: that makes up for the sums above that are not checked one by one.
    function _store(address account, Books memory b) private {
        if (b.debt >> 80 != 0) revert BookingImpossible(account);
        _requirePossible(account, b.balance, b.locked);
        _accounts[account].value = b.seat << 240 | b.debt << 160 | b.locked << 80 | b.balance;
    }

    function _requirePossible(address account, uint256 balance, uint256 locked) private pure {
        if ((balance | locked) >> 80 != 0 || locked > balance) revert BookingImpossible(account);
    }

    function _free(Books memory b) private pure returns (uint256) {
        unchecked {
            return b.balance - b.locked;
        }
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IVault
    function accountOf(address account) external view returns (Account memory) {
        Books memory b = _load(account);
        return Account(uint80(b.balance), uint80(b.locked), uint80(b.debt), uint16(b.seat));
    }

    /// @inheritdoc IVault
    function available(address account) external view returns (uint256) {
        Books memory b = _load(account);
        return b.debt > 0 ? 0 : _free(b);
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
}
