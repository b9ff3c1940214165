namespace BarBroker.EndToEnd;

/// <summary>How the broker has real functions: by nodes of their own where the kernel has those, out of their IOMMU groups elsewhere.</summary>
[Trait(Only.Machine, Only.Real)]
public sealed class OpeningScenarios(Machine machine)
{
    private static readonly PciFunction[] Functions = PciFunction.All;

    [Fact]
    public void Every_function_is_open_by_its_own_node_where_it_has_one_and_by_its_group_where_not()
    {
        string[] open = [.. machine.Broker.OpenFiles().Where(path => path == "/dev/iommu" || path.StartsWith("/dev/vfio/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

        string[] own = [.. Functions.SelectMany(function => function.OwnNodes)];
        Assert.Equal(
            own.Length > 0
                ? own.Append("/dev/iommu").Order(StringComparer.Ordinal)
                : Functions.Select(function => function.GroupNode).Append("/dev/vfio/vfio").Order(StringComparer.Ordinal),
            open);
    }

    [Fact]
    public async Task Doctor_finds_nothing_in_the_way_and_says_how_functions_are_opened()
    {
        await machine.Broker.StopAsync();
        (int status, string output) = await DoctorAsync();
        await machine.RestartBrokerAsync();

        Assert.True(status == 0, output);
        Assert.All(Functions, function => Assert.Contains(
            function.OwnNodes is [string own] ? $"{function.Address}  opened by its own node ({own}) and IOMMUFD; " : $"{function.Address}  opened by its IOMMU group ({function.GroupNode}); not its own node",
            output,
            StringComparison.Ordinal));
    }

    [Fact]
    public async Task Doctor_leaves_functions_alone_that_a_broker_has()
    {
        (int status, string output) = await DoctorAsync();

        Assert.True(status == 0, output);
        Assert.All(Functions, function => Assert.Contains($"warn {function.Address}  in use", output, StringComparison.Ordinal));
    }

    private static Task<(int Status, string Output)> DoctorAsync() => Stage.RunBrokerAsync(["doctor", .. Functions.Select(function => function.Address)]);
}
