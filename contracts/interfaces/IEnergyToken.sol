// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Energy tokens: granular certificates of metered injection
interface IEnergyToken {
    /// @notice `amount` Wh of `id` were used up in favour of `beneficiary`. Final.
    event Retired(
        address indexed holder, uint256 indexed id, address indexed beneficiary, uint256 amount, string purpose
    );

    event Connected(address indexed settlement);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error NothingToRetire();

    /// @notice Settlement only: certifies `amount` Wh of metered injection.
    function mint(address to, uint256 id, uint256 amount) external;

    /// @notice Burns the sender's tokens: the energy is used, and nobody can claim it again.
    /// @param beneficiary Whose use it was
    /// @param purpose What for, in words
    function retire(uint256 id, uint256 amount, address beneficiary, string calldata purpose) external;

    /// @notice `retire` for several ids at once: a day's use in one transaction.
    function retireBatch(
        uint256[] calldata ids,
        uint256[] calldata amounts,
        address beneficiary,
        string calldata purpose
    ) external;

    /// @notice Wh of `id` ever minted.
    function issued(uint256 id) external view returns (uint256);

    /// @notice Wh of `id` retired.
    function retired(uint256 id) external view returns (uint256);

    /// @notice The token of energy injected in `auction`'s delivery period from `source`.
    function idOf(uint256 auction, uint8 source) external pure returns (uint256);
}
