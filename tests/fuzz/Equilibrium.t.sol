// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEquilibriumErrors as E} from "../../contracts/interfaces/IEquilibriumErrors.sol";
import {Line} from "../../contracts/libraries/Lines.sol";
import {vm} from "./Vm.sol";

interface IHarness {
    function check(
        Line[] calldata lines,
        uint256 slots,
        int256 minPrice,
        int256 maxPrice,
        bytes calldata prices,
        bytes calldata marginals,
        bytes calldata bids
    ) external pure returns (uint256 income, int256[] memory cash, bytes[] memory fills);
}

/// @notice The check on chain and its Python twin give the same verdict on every claim of `vectors.json`, honest or
/// falsified; and no byte of a claim can be changed without its being refused.
/// @dev What the rules leave free is how marginal volume is split between zones, and that takes a change in two places or
/// more: prices, and with them every cash flow off the margin, are a function of the bids.
contract EquilibriumFuzz {
    string private constant FILE = "tests/fuzz/vectors.json";

    struct Auction {
        Line[] lines;
        uint256 slots;
        int256 minPrice;
        int256 maxPrice;
        bytes bids;
    }

    struct Claim {
        uint256 auction;
        bytes prices;
        bytes marginals;
        string verdict;
        uint256 income;
    }

    IHarness private harness;
    Auction[] private auctions;
    Claim[] private claims;
    uint256[] private accepted;

    error OtherVerdict(uint256 claim, string expected, string found);

    function setUp() external {
        bytes memory code = vm.getCode("EquilibriumHarness.sol:EquilibriumHarness");
        address deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        harness = IHarness(deployed);
        string memory json = vm.readFile(FILE);
        _readAuctions(json);
        _readClaims(json);
    }

    function _readAuctions(string memory json) private {
        bytes[] memory lines = vm.parseJsonBytesArray(json, ".lines");
        uint256[] memory slots = vm.parseJsonUintArray(json, ".slots");
        int256[] memory minPrices = vm.parseJsonIntArray(json, ".minPrice");
        int256[] memory maxPrices = vm.parseJsonIntArray(json, ".maxPrice");
        bytes[] memory bids = vm.parseJsonBytesArray(json, ".bids");
        for (uint256 i; i < slots.length; ++i) {
            auctions.push(Auction(_lines(lines[i]), slots[i], minPrices[i], maxPrices[i], bids[i]));
        }
    }

    function _lines(bytes memory words) private pure returns (Line[] memory lines) {
        lines = new Line[](words.length / 32);
        for (uint256 zone; zone < lines.length; ++zone) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(add(words, 32), mul(32, zone)))
            }
            lines[zone] = Line.wrap(word);
        }
    }

    function _readClaims(string memory json) private {
        uint256[] memory about = vm.parseJsonUintArray(json, ".auction");
        bytes[] memory prices = vm.parseJsonBytesArray(json, ".prices");
        bytes[] memory marginals = vm.parseJsonBytesArray(json, ".marginals");
        string[] memory verdicts = vm.parseJsonStringArray(json, ".verdict");
        uint256[] memory incomes = vm.parseJsonUintArray(json, ".income");
        for (uint256 i; i < about.length; ++i) {
            claims.push(Claim(about[i], prices[i], marginals[i], verdicts[i], incomes[i]));
            if (bytes(verdicts[i]).length == 0) accepted.push(i);
        }
    }

    // ---------------------------------------------------------------- the same verdict

    function test_vectors__everyClaim__theTwinsVerdictAndIncome() external view {
        require(claims.length > 500 && accepted.length > 100, "vectors missing");
        for (uint256 i; i < claims.length; ++i) {
            Claim memory claim = claims[i];
            (string memory rule, uint256 income) = _ask(claim, claim.prices, claim.marginals);
            if (keccak256(bytes(rule)) != keccak256(bytes(claim.verdict))) {
                revert OtherVerdict(i, claim.verdict, rule);
            }
            require(income == claim.income, "income");
        }
    }

    /// @return rule The tag of the rule broken, empty where the claim is accepted
    function _ask(Claim memory claim, bytes memory prices, bytes memory marginals)
        private
        view
        returns (string memory rule, uint256 income)
    {
        Auction memory a = auctions[claim.auction];
        try harness.check(a.lines, a.slots, a.minPrice, a.maxPrice, prices, marginals, a.bids) returns (
            uint256 income_, int256[] memory, bytes[] memory
        ) {
            return ("", income_);
        } catch (bytes memory answer) {
            return (_ruleOf(bytes4(answer)), 0);
        }
    }

    function _ruleOf(bytes4 error_) private pure returns (string memory) {
        if (error_ == E.E1_SellStepNotNamed.selector || error_ == E.E1_SoldBeyondOffer.selector) return "E1";
        if (error_ == E.E2_BuyStepNotNamed.selector || error_ == E.E2_BoughtBeyondOffer.selector) return "E2";
        if (error_ == E.E3_FlowBeyondLimit.selector || error_ == E.E3_PriceDifference.selector) return "E3";
        if (error_ == E.E4_OutOfBalance.selector) return "E4";
        if (error_ == E.E6_PriceNotCanonical.selector) return "E6";
        if (error_ == E.E7_TradeWithheld.selector) return "E7";
        bool s4 = error_ == E.S4_MarginalsNotAscending.selector || error_ == E.S4_MarginalQuantity.selector;
        return s4 ? "S4" : "none of the rules";
    }

    // ---------------------------------------------------------------- nothing to spare in a claim

    /// @dev One place changed: a price, and it is not the canonical one any more; a volume, and the balance or the sum of
    /// marginal steps is off; a place, and a step is not named or one named that isn't there.
    /// forge-config: default.fuzz.runs = 4000
    function testFuzz_acceptedClaim__oneByteChanged__refused(uint256 which, uint256 place, uint8 change)
        external
        view
    {
        Claim memory claim = claims[accepted[which % accepted.length]];
        place %= claim.prices.length + claim.marginals.length;
        bytes memory changed = place < claim.prices.length ? claim.prices : claim.marginals;
        uint256 at = place < claim.prices.length ? place : place - claim.prices.length;
        changed[at] = bytes1(uint8(changed[at]) ^ (change == 0 ? 1 : change));
        (string memory rule,) = _ask(claim, claim.prices, claim.marginals);
        require(bytes(rule).length != 0, "a changed claim is accepted");
    }

    /// @dev Whatever volumes a solver names with it, no price but the canonical one passes.
    /// forge-config: default.fuzz.runs = 4000
    function testFuzz_acceptedClaim__priceChangedAndVolumesToo__refused(
        uint256 which,
        uint256 place,
        int8 ticks,
        uint48[4] calldata filled
    ) external view {
        Claim memory claim = claims[accepted[which % accepted.length]];
        uint256 at = place % (claim.prices.length / 3) * 3;
        uint24 price = uint24(bytes3(abi.encodePacked(claim.prices[at], claim.prices[at + 1], claim.prices[at + 2])));
        unchecked {
            price += uint24(int24(ticks == 0 ? int8(1) : ticks));
        }
        for (uint256 i; i < 3; ++i) claim.prices[at + i] = bytes3(price)[i];
        for (uint256 i; i < 4 && claim.marginals.length != 0; ++i) {
            _fill(claim.marginals, (place >> (8 * i + 8)) % (claim.marginals.length / 16), filled[i]);
        }
        (string memory rule,) = _ask(claim, claim.prices, claim.marginals);
        require(bytes(rule).length != 0, "another price is accepted");
    }

    /// @dev Fills a marginal volume within its quantity.
    function _fill(bytes memory marginals, uint256 index, uint48 filled) private pure {
        uint256 at = 16 * index;
        uint48 quantity;
        for (uint256 i = 4; i < 10; ++i) quantity = quantity << 8 | uint8(marginals[at + i]);
        bytes6 word = bytes6(filled % (quantity + 1));
        for (uint256 i; i < 6; ++i) marginals[at + 10 + i] = word[i];
    }
}
