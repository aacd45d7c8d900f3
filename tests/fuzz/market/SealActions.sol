// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {Account} from "../../../contracts/interfaces/IVault.sol";
import {Record, Stage} from "../../../contracts/libraries/Records.sol";
import {BidActions} from "./BidActions.sol";

/// @notice Sealed bids: placed, opened, forfeited.
abstract contract SealActions is BidActions {
    bytes32 private constant SEALED_BID_TYPEHASH =
        keccak256("SealedBid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes32 commitment)");

    /// @dev What was sealed last, until it is opened.
    mapping(uint256 auction => mapping(address member => bytes)) internal sealedSteps;
    mapping(uint256 auction => mapping(address member => bytes32)) internal saltOf;

    function seal(uint256 who, uint256 which, uint256 seed) external now_ {
        address member = _anybody(who);
        uint256 auction = _openAuction(which);
        Bundle memory b = _bundle(seed);
        bytes32 commitment = _commitment(auction, member, bytes32(seed), b.steps);
        bytes memory data = abi.encodeCall(IMarket.seal, (auction, commitment));
        if (!_attempt(_canSeal(auction, member), member, address(market), data)) return;
        _keep(auction, member, bytes32(seed), b.steps);
    }

    function sealSigned(uint256 who, uint256 which, uint256 seed) external now_ {
        address member = _member(who);
        uint256 auction = _openAuction(which);
        bytes memory steps = _bundle(seed).steps;
        bytes32 commitment = _commitment(auction, member, bytes32(seed), steps);
        uint256 nonce = _nonce(auction, member) + seed % 3;
        address signer = seed / 4 % 8 == 0 ? _member(seed / 32) : member;
        bytes32 structHash =
            keccak256(abi.encode(SEALED_BID_TYPEHASH, member, auction, nonce, clock, commitment));
        bytes memory signature = _signed(signer, address(market), "Clearwatt Market", structHash);
        bool allowed = _canSeal(auction, member) && seed % 3 != 0 && nonce < LAST_NONCE && signer == member;
        bytes memory data =
            abi.encodeCall(IMarket.sealSigned, (auction, commitment, member, nonce, clock, signature));
        if (_attempt(allowed, STRANGER, address(market), data)) _keep(auction, member, bytes32(seed), steps);
    }

    function _canSeal(uint256 auction, address member) private view returns (bool) {
        (bool vacant, uint256 previous) = _vacant(auction, member);
        return REVEAL_WINDOW != 0 && !pausedNow && _isGateOpen(auction) && vacant
            && _affords(member, previous, SEAL_DEPOSIT);
    }

    function _keep(uint256 auction, address member, bytes32 salt, bytes memory steps) private {
        sealedSteps[auction][member] = steps;
        saltOf[auction][member] = salt;
        _note(auction, member);
    }

    function _commitment(uint256 auction, address member, bytes32 salt, bytes memory steps)
        private
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(market), auction, member, salt, keccak256(steps)));
    }

    /// @notice Opens the sealed bids there are; here and there another bundle than was sealed is tried.
    function open(uint256 who, uint256 which, uint256 seed) external now_ {
        uint256 auction = _current() + 1;
        if (which % 16 == 0) --auction;
        for (uint256 i; i < members.length; ++i) {
            bool asSealed = (seed >> (8 * i)) % 8 != 0;
            address member = members[i];
            if (i != who % members.length && !_record(auction, member).at(Stage.Sealed, auction / RING)) continue;
            bytes memory steps =
                asSealed ? sealedSteps[auction][member] : abi.encodePacked(uint8(0), int24(1), int32(7777));
            bytes memory data = abi.encodeCall(IMarket.open, (auction, member, saltOf[auction][member], steps));
            bool allowed = asSealed && _canOpen(auction, member, steps);
            if (_attempt(allowed, STRANGER, address(market), data)) _take(auction, member, steps);
        }
    }

    /// @dev Opening asks for money and for a sound bundle, but for nothing that may have happened since the sealing.
    function _canOpen(uint256 auction, address member, bytes memory steps) private view returns (bool) {
        if (clock < _gateClosure(auction) || clock >= _clearingStart(auction)) return false;
        Record record = _record(auction, member);
        if (!record.at(Stage.Sealed, auction / RING)) return false;
        (uint256 lock, bool sound) = _measure(steps);
        Account memory a = vault.accountOf(member);
        return sound && (lock <= record.lock() || lock - record.lock() <= a.balance - a.locked);
    }

    /// @dev What a bundle locks; a bundle of `_bundle` is unsound only in the ways of `_spoil`.
    function _measure(bytes memory steps) private pure returns (uint256 lock, bool sound) {
        uint256 last;
        sound = steps.length / 8 <= MAX_STEPS;
        for (uint256 at; at < steps.length; at += 8) {
            uint256 step;
            assembly ("memory-safe") {
                step := shr(192, mload(add(add(steps, 32), at)))
            }
            int256 quantity = int32(uint32(step));
            int256 price = int24(uint24(step >> 32));
            uint256 size = uint256(quantity < 0 ? -quantity : quantity);
            if (step >> 56 < last || step >> 56 >= SLOTS || price > MAX_PRICE || size < MIN_QUANTITY) sound = false;
            last = step >> 56;
            lock += size * MARGIN + (quantity * price < 0 ? uint256(-quantity * price) : 0);
        }
        lock = (lock + LOCK_UNIT - 1) / LOCK_UNIT * LOCK_UNIT;
    }

    function forfeit(uint256 who, uint256 which) external now_ {
        address member = _member(who);
        uint256 auction = _current() + 1 - which % 3;
        bool allowed =
            clock >= _clearingStart(auction) && _record(auction, member).at(Stage.Sealed, auction / RING);
        bytes memory data = abi.encodeCall(IMarket.forfeit, (auction, member));
        if (_attempt(allowed, STRANGER, address(market), data)) _note(auction, member);
    }
}
