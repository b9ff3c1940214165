using System.Diagnostics;

namespace BarBroker.EndToEnd;

/// <summary>A broker that can't start says what is in its way, and doctor has said so before.</summary>
[Trait(Only.Machine, Only.Host)]
public sealed class StartScenarios
{
    /// <summary>The broker's user is not in it.</summary>
    private const int ForeignGroup = 2999;

    [Fact]
    public async Task A_broker_whose_user_is_not_in_the_clients_group_says_how_to_join_it()
    {
        InvalidOperationException refused = await Assert.ThrowsAsync<InvalidOperationException>(
            () => BrokerProcess.StartAsync(static directory => Policy(directory, ForeignGroup), Users.Broker));

        Assert.Contains("exited with status 1", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"to group {ForeignGroup}: the broker's user is not in it", refused.Message, StringComparison.Ordinal);
        Assert.Contains($"usermod --append --groups {ForeignGroup} ", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/tmp/bar-broker-of-nobody", Users.ClientGroup, 0, "sockets are made in /tmp/bar-broker-of-nobody")]
    [InlineData("/tmp/bar-broker-of-nobody", ForeignGroup, 1, "usermod --append --groups 2999 ")]
    [InlineData("/etc/bar-broker-of-nobody", Users.ClientGroup, 1, "this user may make nothing in /etc")]
    [InlineData("/etc", Users.ClientGroup, 1, "directory /etc can't be written by this user")]
    public async Task Doctor_says_whether_this_user_could_start_it(string directory, int group, int status, string expected)
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("bar-broker-doctor-").FullName, "policy.json");
        File.SetUnixFileMode(Path.GetDirectoryName(file)!, (UnixFileMode)0b111_101_101);
        await File.WriteAllTextAsync(file, Policy(directory, group), TestContext.Current.CancellationToken);
        try
        {
            ProcessStartInfo command = Stage.Broker();
            foreach (string argument in (string[])["doctor", "--config", file])
            {
                command.ArgumentList.Add(argument);
            }

            (int found, string output) = await Stage.RunAsync(Stage.As(Users.Broker, command, Users.BrokerGroup));

            Assert.Equal(status, found);
            Assert.Contains(expected, string.Join(' ', output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        }
    }

    private static string Policy(string directory, int group) => $$"""
        { "runtimeDirectory": "{{directory}}", "clientGroup": "{{group}}", "devices": { "board": { "simulated": { "bars": { "2": "1MiB" } } } }, "grants": [] }
        """;
}
