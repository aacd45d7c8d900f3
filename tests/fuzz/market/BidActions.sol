// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {Record} from "../../../contracts/libraries/Records.sol";
import {World} from "./World.sol";

/// @notice Bids in person and by signature, taken back, and released from void auctions; random bundles for them.
abstract contract BidActions is World {
    bytes32 private constant BID_TYPEHASH =
        keccak256("Bid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes steps)");
    bytes32 private constant CANCELLATION_TYPEHASH =
        keccak256("Cancellation(address member,uint256 auction,uint256 nonce,uint256 deadline)");

    bool internal pausedNow;

    /// @dev A bundle, what it locks, and whether the market takes such a bundle.
    struct Bundle {
        bytes steps;
        uint256 lock;
        bool sound;
    }

    // ---------------------------------------------------------------- bundles

    function _bundle(uint256 seed) internal pure returns (Bundle memory b) {
        b.sound = true;
        uint256 slot;
        uint256 count = seed % (MAX_STEPS + 1);
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            slot += seed % 3 == 0 ? 1 : 0;
            if (slot >= SLOTS) break;
            int256 price = MIN_PRICE + int256(seed / 3 % 12) * 1000;
            int256 size = int256(seed / 64 % 40 + 1) * 25_000 + int256(seed / 4096 % 3);
            b.steps = abi.encodePacked(b.steps, uint8(slot), int24(price), int32(seed / 16_384 % 2 == 0 ? size : -size));
            bool pays = seed / 16_384 % 2 == 0 ? price < 0 : price > 0;
            b.lock += uint256(size) * MARGIN + (pays ? uint256(size * (price < 0 ? -price : price)) : 0);
        }
        b.lock = (b.lock + LOCK_UNIT - 1) / LOCK_UNIT * LOCK_UNIT;
        if (seed % 24 == 5) _spoil(b, seed / 24);
    }

    function _spoil(Bundle memory b, uint256 way) private pure {
        b.sound = false;
        if (way % 4 == 0) b.steps = abi.encodePacked(b.steps, uint8(SLOTS), int24(0), int32(1000));
        else if (way % 4 == 1) b.steps = abi.encodePacked(uint8(0), int24(MAX_PRICE + 1), int32(1000), b.steps);
        else if (way % 4 == 2) b.steps = abi.encodePacked(uint8(0), int24(0), int32(int256(MIN_QUANTITY) - 1), b.steps);
        else b.steps = abi.encodePacked(uint8(1), int24(0), int32(1000), uint8(0), int24(0), int32(1000));
    }

    function _take(uint256 auction, address member, bytes memory steps) internal {
        Part storage part = parts[auction][member];
        part.steps = steps;
        part.zone = vault.accountOf(member).seat & 0x7fff;
        part.taken = true;
        _note(auction, member);
    }

    /// @dev Whether the member's record and account take this bundle.
    function _takes(uint256 auction, address member, Bundle memory b) internal view returns (bool) {
        (bool vacant, uint256 previous) = _vacant(auction, member);
        return b.sound && vacant && _affords(member, previous, b.lock); // [I9]: no debt
    }

    // ---------------------------------------------------------------- in person

    function bid(uint256 who, uint256 which, uint256 seed) external now_ {
        address member = _anybody(who);
        uint256 auction = _openAuction(which);
        Bundle memory b = _bundle(seed);
        bool allowed = REVEAL_WINDOW == 0 && !pausedNow && _isGateOpen(auction) && _takes(auction, member, b);
        if (_attempt(allowed, member, address(market), abi.encodeCall(IMarket.bid, (auction, b.steps)))) {
            _take(auction, member, b.steps);
        }
    }

    function cancel(uint256 who, uint256 which) external now_ {
        address member = _anybody(who);
        uint256 auction = _openAuction(which);
        (bool vacant,) = _vacant(auction, member);
        bool allowed = vacant && _isGateOpen(auction);
        if (!_attempt(allowed, member, address(market), abi.encodeCall(IMarket.cancel, (auction)))) return;
        parts[auction][member].taken = false;
        _note(auction, member);
    }

    // ---------------------------------------------------------------- by signature

    /// @notice A batch of up to four bids, some of them worthless. Each that can be placed is, whatever the others are.
    function bidSigned(uint256 who, uint256 which, uint256 seed) external now_ {
        uint256 auction = _openAuction(which);
        uint256 count = seed % 4 + 1;
        bytes memory bids;
        address[] memory signers = new address[](count);
        uint256[] memory nonces = new uint256[](count);
        Bundle[] memory bundles = new Bundle[](count);
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            signers[i] = _member(who % members.length + i);
            bundles[i] = _bundle(seed);
            nonces[i] = _nonce(auction, signers[i]) + seed / 8 % 3;
            bids = abi.encodePacked(bids, _signedBid(auction, signers[i], nonces[i], seed, bundles[i]));
        }
        bool allowed = REVEAL_WINDOW == 0 && !pausedNow && _isGateOpen(auction);
        bool[] memory expected = new bool[](count);
        for (uint256 i; i < count; ++i) {
            Record record = _record(auction, signers[i]);
            bool fresh = nonces[i] < LAST_NONCE && nonces[i] > _lastNonce(record, auction);
            expected[i] = fresh && bundles[i].sound && bundles[i].lock != type(uint256).max
                && _takes(auction, signers[i], bundles[i]);
        }
        if (!_attempt(allowed, STRANGER, address(market), abi.encodeCall(IMarket.bidSigned, (auction, bids)))) return;
        for (uint256 i; i < count; ++i) {
            if (expected[i]) _take(auction, signers[i], bundles[i].steps);
            require(!expected[i] || _record(auction, signers[i]).nonce() == nonces[i], "signed bid");
        }
    }

    /// @dev One in eight is forged or too late; its lock then says so.
    function _signedBid(uint256 auction, address member, uint256 nonce, uint256 seed, Bundle memory b)
        private
        view
        returns (bytes memory)
    {
        uint256 deadline = seed % 8 == 6 ? clock - 1 : clock;
        bytes32 structHash =
            keccak256(abi.encode(BID_TYPEHASH, member, auction, nonce, deadline, keccak256(b.steps)));
        address signer = seed % 8 == 7 ? members[(seed / 8) % 6] : member;
        if (signer != member || deadline < clock) b.sound = false;
        bytes memory signature = _signed(signer, address(market), "Clearwatt Market", structHash);
        bytes memory head = abi.encodePacked(member, uint16(nonce), uint40(deadline), uint16(65));
        return abi.encodePacked(head, uint16(b.steps.length / 8), b.steps, signature);
    }

    function _lastNonce(Record record, uint256 auction) internal view returns (uint256) {
        return record.round() == auction / RING ? record.nonce() : 0;
    }

    function _nonce(uint256 auction, address member) internal view returns (uint256) {
        return _lastNonce(_record(auction, member), auction);
    }

    function cancelSigned(uint256 who, uint256 which, uint256 seed) external now_ {
        address member = _member(who);
        uint256 auction = _openAuction(which);
        uint256 nonce = _nonce(auction, member) + seed % 3;
        uint256 deadline = seed / 3 % 8 == 0 ? clock - 1 : clock;
        address signer = seed / 24 % 8 == 0 ? _member(seed / 192) : member;
        bytes32 structHash = keccak256(abi.encode(CANCELLATION_TYPEHASH, member, auction, nonce, deadline));
        bytes memory signature = _signed(signer, address(market), "Clearwatt Market", structHash);
        (bool allowed,) = _vacant(auction, member);
        if (seed % 3 == 0 || nonce >= LAST_NONCE || deadline < clock || signer != member) allowed = false;
        if (!_isGateOpen(auction)) allowed = false;
        bytes memory data = abi.encodeCall(IMarket.cancelSigned, (auction, member, nonce, deadline, signature));
        if (!_attempt(allowed, STRANGER, address(market), data)) return;
        parts[auction][member].taken = false;
        _note(auction, member);
    }

    // ---------------------------------------------------------------- void auctions

    function release(uint256 which, uint256 whom) external now_ {
        uint256 auction = _current() + 1 - which % 4;
        address[] memory named = new address[](whom % 4 + 1);
        bool any;
        for (uint256 i; i < named.length; ++i) {
            named[i] = _member(whom / 4 + i * (whom / 64 % 3));
            if (_isLive(auction, named[i])) any = true;
        }
        bool allowed = any && _isVoid(auction);
        if (!_attempt(allowed, STRANGER, address(market), abi.encodeCall(IMarket.release, (auction, named)))) return;
        for (uint256 i; i < named.length; ++i) _note(auction, named[i]);
    }
}
