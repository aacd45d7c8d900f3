// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEnergyToken} from "./interfaces/IEnergyToken.sol";

/// @title EnergyToken
/// @notice 1 token = 1 Wh that a meter's reading says was injected; the id is the delivery period and the source. To
/// holders it guarantees that no id is ever issued beyond what was metered, since only Settlement mints and only from
/// readings, and that what is retired is gone for good.
/// @custom:halt Nobody can: there is no owner and no pause.
contract EnergyToken is IEnergyToken, ERC1155 {
    using SafeCast for uint256;

    struct Supply {
        uint128 issued;
        uint128 retired;
    }

    address private immutable _deployer;
    address public settlement;
    mapping(uint256 id => Supply) private _supply;

    constructor(string memory uri_) ERC1155(uri_) {
        _deployer = msg.sender;
    }

    /// @notice The deployer names the contract that mints, once and for good.
    function connect(address settlement_) external {
        if (msg.sender != _deployer) revert NotConnectedCaller(msg.sender);
        if (settlement != address(0)) revert AlreadyConnected();
        if (settlement_ == address(0)) revert NotConnectedCaller(address(0));
        settlement = settlement_;
        emit Connected(settlement_);
    }

    /// @inheritdoc IEnergyToken
    /// @dev Without the receiver's acceptance call: a contract that can't say yes still gets what its meter earned,
    /// and none can make a batch of claims fail.
    function mint(address to, uint256 id, uint256 amount) external {
        if (msg.sender != settlement) revert NotConnectedCaller(msg.sender);
        _supply[id].issued += amount.toUint128();
        _update(address(0), to, _one(id), _one(amount));
    }

    /// @inheritdoc IEnergyToken
    function retire(uint256 id, uint256 amount, address beneficiary, string calldata purpose) external {
        _retire(id, amount, beneficiary, purpose);
    }

    /// @inheritdoc IEnergyToken
    function retireBatch(
        uint256[] calldata ids,
        uint256[] calldata amounts,
        address beneficiary,
        string calldata purpose
    ) external {
        if (ids.length != amounts.length) revert ERC1155InvalidArrayLength(ids.length, amounts.length);
        for (uint256 i; i < ids.length; ++i) _retire(ids[i], amounts[i], beneficiary, purpose);
    }

    function _retire(uint256 id, uint256 amount, address beneficiary, string calldata purpose) private {
        if (amount == 0) revert NothingToRetire();
        _burn(msg.sender, id, amount);
        _supply[id].retired += amount.toUint128();
        emit Retired(msg.sender, id, beneficiary, amount, purpose);
    }

    /// @inheritdoc IEnergyToken
    function issued(uint256 id) external view returns (uint256) {
        return _supply[id].issued;
    }

    /// @inheritdoc IEnergyToken
    function retired(uint256 id) external view returns (uint256) {
        return _supply[id].retired;
    }

    /// @inheritdoc IEnergyToken
    function idOf(uint256 auction, uint8 source) external pure returns (uint256) {
        return auction << 8 | source;
    }

    function _one(uint256 value) private pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = value;
    }
}
