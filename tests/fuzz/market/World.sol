// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChunkedClearing} from "../../../contracts/interfaces/IChunkedClearing.sol";
import {IClearing} from "../../../contracts/interfaces/IClearing.sol";
import {IEnergyToken} from "../../../contracts/interfaces/IEnergyToken.sol";
import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {IOracleQuorum} from "../../../contracts/interfaces/IOracleQuorum.sol";
import {IRegistry, Limits, Parameters} from "../../../contracts/interfaces/IRegistry.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Account, IVault} from "../../../contracts/interfaces/IVault.sol";
import {Line, LinesLib} from "../../../contracts/libraries/Lines.sol";
import {Record, Stage} from "../../../contracts/libraries/Records.sol";
import {Schedule} from "../../../contracts/libraries/Schedule.sol";
import {vm} from "../Vm.sol";
import {Cable} from "./Solver.sol";

interface IEuro {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

/// @title World
/// @notice A whole market with its people, their keys, a clock, and a memory of what they did: what the handlers act on and
/// what the invariants compare the contracts with.
/// @dev Actions go through `_attempt`, which says beforehand whether the contracts must let them. So no call of the fuzzer
/// reverts unless contracts and model disagree.
abstract contract World {
    uint256 internal constant ZONES = 4;
    uint256 internal constant SLOTS = 4;
    uint256 internal constant SLOT_SECONDS = 900;
    uint256 internal constant AUCTION_SECONDS = SLOTS * SLOT_SECONDS;
    uint256 internal constant GENESIS = 1000 * SLOT_SECONDS;
    uint256 internal constant HORIZON = 3600;
    uint256 internal constant GATE_LEAD = 900;
    uint256 internal constant CLEARING_WINDOW = 900;
    uint256 internal constant METERING_WINDOW = 900;
    uint256 internal constant SUBSTITUTE_WINDOW = 900;
    uint256 internal constant DISPUTE_WINDOW = 600;
    uint256 internal constant DECISION_WINDOW = 600;
    uint256 internal constant OWNER_DELAY = 12_000;
    uint256 internal constant FIRST_AUCTION = 10;

    int256 internal constant MIN_PRICE = -3000;
    int256 internal constant MAX_PRICE = 8000;
    uint256 internal constant MARGIN = 1000;
    uint256 internal constant MIN_QUANTITY = 100;
    uint256 internal constant MAX_STEPS = 5;
    uint256 internal constant LOCK_UNIT = 1 << 20;
    uint256 internal constant LAST_NONCE = 4095;
    uint256 internal constant SEAL_DEPOSIT = 3 * LOCK_UNIT * 1000;
    uint256 internal constant DISPUTE_BOND = 1_000_000_000;
    uint256 internal constant TOKENS_TO_MONEY = 100;
    uint256 internal constant THRESHOLD = 2;

    uint256 internal immutable REVEAL_WINDOW;
    uint256 internal immutable RING;

    IEuro internal euro;
    IRegistry internal registry;
    IVault internal vault;
    IMarket internal market;
    IOracleQuorum internal quorum;
    IEnergyToken internal token;
    ISettlement internal settlement;
    IChunkedClearing internal clearing;

    /// @dev Ascending, as clearing takes them. The first is the balancing party.
    address[] internal members;
    address internal constant OWNER = address(0x0111);
    address internal constant NETWORK = address(0x0222);
    address internal constant STRANGER = address(0x0333);
    mapping(address => uint256) internal keyOf;

    uint256 public clock;

    // ---------------------------------------------------------------- memory

    /// @notice A member's part in an auction, as its actions made it.
    struct Part {
        bytes steps;
        bytes32 salt;
        uint16 zone;
        bool taken;
        bool settled;
        bool drawn;
        uint8 source;
        uint64 unmatched;
        uint64 bought;
        int256 cash;
        int256[4] fills;
    }

    /// @notice An auction, as clearing and settlement made it.
    struct Past {
        bool cleared;
        uint256 live;
        uint256 settled;
        bytes prices;
        int256 contractCash;
        uint256 income;
        bytes imbalance;
        bytes fallbackPrices;
        bytes32[] chunks;
        bytes[] entries;
        uint256[4] injected;
    }

    mapping(uint256 auction => mapping(address member => Part)) internal parts;
    mapping(uint256 auction => Past) internal pasts;
    mapping(uint256 auction => mapping(address member => bytes)) internal substitutes;

    /// @dev Every record as the last action that was about it left it.
    mapping(uint256 place => mapping(address member => Record)) internal seen;

    /// @dev A dispute that is open, and who put the bond up.
    struct Dispute {
        uint256 auction;
        address subject;
        address disputant;
    }

    Dispute[] internal disputes;
    uint256[] internal auctions;
    mapping(uint256 auction => bool) internal known;

    /// @notice How often actions passed, and how often they were refused as they had to be.
    mapping(bytes4 action => uint256) public passed;
    mapping(bytes4 action => uint256) public refused;

    // ---------------------------------------------------------------- deployment

    constructor(uint256 revealWindow, uint256 ring) {
        REVEAL_WINDOW = revealWindow;
        RING = ring;
        clock = GENESIS + FIRST_AUCTION * AUCTION_SECONDS - GATE_LEAD - HORIZON;
        vm.warp(clock);
        _populate();
        _deploy();
        _admitAll();
    }

    function _populate() private {
        for (uint256 i; i < 6; ++i) members.push(_newKey(100 + i));
        for (uint256 term; term < 40; ++term) {
            for (uint256 i; i < 3; ++i) _newKey(_oracleKey(term, i));
        }
        for (uint256 i; i < 6; ++i) {
            for (uint256 k; k + 1 < 6; ++k) {
                if (members[k] > members[k + 1]) (members[k], members[k + 1]) = (members[k + 1], members[k]);
            }
        }
    }

    function _newKey(uint256 key) internal returns (address account) {
        account = vm.addr(key);
        keyOf[account] = key;
    }

    function _deploy() private {
        euro = IEuro(_create("TestEuro.sol:TestEuro", abi.encode(uint8(6))));
        registry = IRegistry(_create("Registry.sol:Registry", abi.encode(OWNER, _parameters(), _lines())));
        vault = IVault(_create("Vault.sol:Vault", abi.encode(euro, registry)));
        market = IMarket(_create("Market.sol:Market", abi.encode(registry, vault)));
        bytes memory named = abi.encode(registry, vault, oracles(0), THRESHOLD);
        quorum = IOracleQuorum(_create("OracleQuorum.sol:OracleQuorum", named));
        token = IEnergyToken(_create("EnergyToken.sol:EnergyToken", abi.encode("")));
        settlement = ISettlement(
            _create("Settlement.sol:Settlement", abi.encode(registry, vault, market, quorum, token))
        );
        clearing = IChunkedClearing(
            _create("ChunkedClearing.sol:ChunkedClearing", abi.encode(registry, vault, market))
        );
        _must(address(registry), abi.encodeWithSignature("connect(address)", vault));
        bytes memory ways = abi.encode(market, clearing, settlement, quorum);
        _must(
            address(vault), bytes.concat(abi.encodeWithSignature("connect(address,address,address,address)"), ways)
        );
        _must(address(market), abi.encodeWithSignature("connect(address,address)", settlement, clearing));
        _must(address(quorum), abi.encodeWithSignature("connect(address)", settlement));
        _must(address(token), abi.encodeWithSignature("connect(address)", settlement));
    }

    /// @dev By name, so that no test holds a copy of the contracts' code.
    function _create(string memory artifact, bytes memory arguments) private returns (address deployed) {
        bytes memory code = bytes.concat(vm.getCode(artifact), arguments);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        require(deployed != address(0), artifact);
    }

    function _must(address target, bytes memory data) internal {
        (bool done,) = target.call(data);
        require(done, "set up");
    }

    function _parameters() private view returns (Parameters memory p) {
        p.schedule = Schedule({
            genesis: uint40(GENESIS),
            slotSeconds: uint32(SLOT_SECONDS),
            slots: uint8(SLOTS),
            horizon: uint32(HORIZON),
            gateLead: uint32(GATE_LEAD),
            revealWindow: uint32(REVEAL_WINDOW),
            clearingWindow: uint32(CLEARING_WINDOW),
            meteringWindow: uint32(METERING_WINDOW),
            substituteWindow: uint32(SUBSTITUTE_WINDOW),
            disputeWindow: uint32(DISPUTE_WINDOW),
            decisionWindow: uint32(DECISION_WINDOW)
        });
        p.limits = Limits(uint32(MIN_QUANTITY), uint16(MAX_STEPS), 6);
        p.minPrice = int24(MIN_PRICE);
        p.maxPrice = int24(MAX_PRICE);
        p.imbalanceMargin = uint24(MARGIN);
        p.ringSize = uint16(RING);
        p.sealDeposit = uint64(SEAL_DEPOSIT);
        p.disputeBond = uint64(DISPUTE_BOND);
        p.ownerDelay = uint32(OWNER_DELAY);
        p.balancingParty = members[0];
        p.networkAccount = NETWORK;
    }

    /// @dev A free line, one with a fee and tight limits, and one that nothing leaves by.
    function cables() internal pure returns (Cable[] memory list) {
        list = new Cable[](ZONES);
        list[1] = Cable(0, 0, 3_000_000, 3_000_000);
        list[2] = Cable(1, 500, 1_000_000, 600_000);
        list[3] = Cable(1, 1000, 0, 1_000_000);
    }

    function _lines() private pure returns (Line[] memory lines) {
        Cable[] memory list = cables();
        lines = new Line[](ZONES);
        for (uint256 zone; zone < ZONES; ++zone) {
            lines[zone] = LinesLib.pack(
                uint16(list[zone].parent),
                uint24(uint256(list[zone].fee)),
                uint64(uint256(list[zone].exportLimit)),
                uint64(uint256(list[zone].importLimit))
            );
        }
    }

    function _admitAll() private {
        euro.mint(address(this), type(uint128).max);
        euro.approve(address(vault), type(uint256).max);
        for (uint256 i; i < members.length; ++i) {
            address meter = _newKey(200 + i);
            vm.prank(OWNER);
            registry.admit(members[i], uint16(i % ZONES), uint8(i % 4), meter);
            vault.deposit(members[i], i == 0 ? 1e9 : i == 5 ? 5e7 : 3e8);
        }
    }

    /// @notice The signers of a term of office, ascending.
    function oracles(uint256 term) internal pure returns (address[] memory list) {
        list = new address[](3);
        for (uint256 i; i < 3; ++i) {
            address next = vm.addr(_oracleKey(term, i));
            uint256 at = i;
            for (; at != 0 && list[at - 1] > next; --at) list[at] = list[at - 1];
            list[at] = next;
        }
    }

    function _oracleKey(uint256 term, uint256 i) internal pure returns (uint256) {
        return 10_000 + 10 * term + i;
    }

    // ---------------------------------------------------------------- time

    /// @dev Time does not outlast a call of the fuzzer's in every version of forge; `clock` does.
    modifier now_() {
        vm.warp(clock);
        _;
    }

    function _deliveryStart(uint256 auction) internal pure returns (uint256) {
        return GENESIS + auction * AUCTION_SECONDS;
    }

    function _deliveryEnd(uint256 auction) internal pure returns (uint256) {
        return _deliveryStart(auction) + AUCTION_SECONDS;
    }

    function _gateClosure(uint256 auction) internal pure returns (uint256) {
        return _deliveryStart(auction) - GATE_LEAD;
    }

    function _clearingStart(uint256 auction) internal view returns (uint256) {
        return _gateClosure(auction) + REVEAL_WINDOW;
    }

    function _clearingDeadline(uint256 auction) internal view returns (uint256) {
        return _clearingStart(auction) + CLEARING_WINDOW;
    }

    function _meteringDeadline(uint256 auction) internal pure returns (uint256) {
        return _deliveryEnd(auction) + METERING_WINDOW;
    }

    function _substituteDeadline(uint256 auction) internal pure returns (uint256) {
        return _meteringDeadline(auction) + SUBSTITUTE_WINDOW;
    }

    function _deemedFrom(uint256 auction) internal pure returns (uint256) {
        return _substituteDeadline(auction) + DISPUTE_WINDOW + DECISION_WINDOW;
    }

    function _isGateOpen(uint256 auction) internal view returns (bool) {
        return clock + HORIZON >= _gateClosure(auction) && clock < _gateClosure(auction);
    }

    function _isClearingTime(uint256 auction) internal view returns (bool) {
        return clock >= _clearingStart(auction) && clock < _clearingDeadline(auction);
    }

    function _isVoid(uint256 auction) internal view returns (bool) {
        return !pasts[auction].cleared && clock >= _clearingDeadline(auction);
    }

    /// @dev The auction whose delivery runs.
    function _current() internal view returns (uint256) {
        return (clock - GENESIS) / AUCTION_SECONDS;
    }

    /// @dev One whose gate is open, or, now and then, one near it.
    function _openAuction(uint256 seed) internal view returns (uint256 auction) {
        auction = _current() + 1;
        if (clock >= _gateClosure(auction)) ++auction;
        if (seed % 16 == 0) auction = auction + seed / 16 % 3 - 1;
    }

    /// @dev One that can be cleared, or at least one near it.
    function _closedAuction(uint256 seed) internal view returns (uint256 auction) {
        auction = _current() + 1;
        if (!_isClearingTime(auction) && _isClearingTime(auction - 1)) --auction;
        if (seed % 16 == 0) auction = auction + seed / 16 % 3 - 1;
    }

    /// @dev One that was cleared, if there is any among the last ones.
    function _pastAuction(uint256 seed) internal view returns (uint256 auction) {
        // the one delivered last has most still to come
        auction = _current() - (seed % 16 == 0 ? 0 : seed % 4 == 1 ? 2 : 1);
        if (!pasts[auction].cleared && seed % 16 != 2) auction = _current() - 2;
    }

    // ---------------------------------------------------------------- acting

    error Surprise(bool allowed, bytes call_, bytes answer);

    /// @dev Does it, and sees that it passes exactly where it is allowed.
    function _attempt(bool allowed, address sender, address target, bytes memory data) internal returns (bool) {
        vm.prank(sender);
        (bool done, bytes memory answer) = target.call(data);
        if (done != allowed) revert Surprise(allowed, data, answer);
        if (done) ++passed[bytes4(data)];
        else ++refused[bytes4(data)];
        return done;
    }

    function _member(uint256 seed) internal view returns (address) {
        return members[seed % members.length];
    }

    /// @dev A member or somebody who is none.
    function _anybody(uint256 seed) internal view returns (address) {
        return seed % 8 == 7 ? STRANGER : members[seed / 8 % members.length];
    }

    function _record(uint256 auction, address member) internal view returns (Record) {
        return market.recordOf(auction, member);
    }

    /// @dev Says that an action was about this record, so that it may have changed.
    function _note(uint256 auction, address member) internal {
        seen[auction % RING][member] = _record(auction, member);
        if (!known[auction]) {
            known[auction] = true;
            auctions.push(auction);
        }
    }

    /// @dev Whether a bid in `auction` may take the record's place, and what is locked for what is in it.
    function _vacant(uint256 auction, address member) internal view returns (bool vacant, uint256 lock) {
        Record record = _record(auction, member);
        if (record.idle()) return (true, 0);
        if (record.round() == auction / RING) return (true, record.lock());
        bool void = record.stage() == Stage.Bid && _isVoid(record.round() * RING + auction % RING);
        return void ? (true, record.lock()) : (false, 0);
    }

    function _affords(address member, uint256 previous, uint256 next) internal view returns (bool) {
        Account memory a = vault.accountOf(member);
        if (a.seat & 0x8000 == 0 || a.debt != 0) return false;
        return next <= previous || next - previous <= a.balance - a.locked;
    }

    function _isLive(uint256 auction, address member) internal view returns (bool) {
        return _record(auction, member).at(Stage.Bid, auction / RING);
    }

    function _signed(address signer, address contract_, string memory name, bytes32 structHash)
        internal
        view
        returns (bytes memory)
    {
        bytes32 kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 domain =
            keccak256(abi.encode(kind, keccak256(bytes(name)), keccak256("1"), block.chainid, contract_));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(keyOf[signer], keccak256(abi.encodePacked(hex"1901", domain, structHash)));
        return abi.encodePacked(r, s, v);
    }
}
