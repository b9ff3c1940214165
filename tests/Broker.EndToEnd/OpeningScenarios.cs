using System.Diagnostics;

namespace BarBroker.EndToEnd;

/// <summary>How the broker has real functions: by nodes of their own where the kernel has those, out of their IOMMU groups elsewhere.</summary>
[Trait(Only.Machine, Only.Real)]
public sealed class OpeningScenarios(Machine machine)
{
    private static readonly string[] Functions = [.. ((string[])["IVSHMEM", "EDU", "NVME"]).Select(name => Environment.GetEnvironmentVariable($"BAR_BROKER_VM_{name}")!)];

    [Fact]
    public void Every_function_is_open_by_its_own_node_where_it_has_one_and_by_its_group_where_not()
    {
        string[] open = [.. machine.Broker.OpenFiles().Where(path => path == "/dev/iommu" || path.StartsWith("/dev/vfio/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

        string[] own = [.. Functions.SelectMany(OwnNodes)];
        Assert.Equal(
            own.Length > 0
                ? own.Append("/dev/iommu").Order(StringComparer.Ordinal)
                : Functions.Select(GroupNode).Append("/dev/vfio/vfio").Order(StringComparer.Ordinal),
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
            OwnNodes(function) is [string own] ? $"{function}  opened by its own node ({own}) and IOMMUFD; " : $"{function}  opened by its IOMMU group ({GroupNode(function)}); not its own node",
            output,
            StringComparison.Ordinal));
    }

    [Fact]
    public async Task Doctor_leaves_functions_alone_that_a_broker_has()
    {
        (int status, string output) = await DoctorAsync();

        Assert.True(status == 0, output);
        Assert.All(Functions, function => Assert.Contains($"warn {function}  in use", output, StringComparison.Ordinal));
    }

    private static async Task<(int Status, string Output)> DoctorAsync()
    {
        ProcessStartInfo command = Stage.Broker();
        foreach (string argument in (string[])["doctor", .. Functions])
        {
            command.ArgumentList.Add(argument);
        }

        using Process doctor = Process.Start(command)!;
        using CancellationTokenSource limit = new(Patience.Limit);
        Task<string> errors = doctor.StandardError.ReadToEndAsync(limit.Token);
        string output = await doctor.StandardOutput.ReadToEndAsync(limit.Token);
        await doctor.WaitForExitAsync(limit.Token);
        return (doctor.ExitCode, output + await errors);
    }

    /// <summary>VFIO's device of a function is in sysfs on every kernel; a number it has only where there is a node for it.</summary>
    private static string[] OwnNodes(string function)
    {
        string directory = $"/sys/bus/pci/devices/{function}/vfio-dev";
        return Directory.Exists(directory)
            ? [.. Directory.GetDirectories(directory).Where(entry => File.Exists(Path.Combine(entry, "dev"))).Select(entry => $"/dev/vfio/devices/{Path.GetFileName(entry)}")]
            : [];
    }

    private static string GroupNode(string function)
        => $"/dev/vfio/{Path.GetFileName(new FileInfo($"/sys/bus/pci/devices/{function}/iommu_group").LinkTarget)}";
}
