using System.Net.Sockets;
using BarBroker.Transport;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class BoundSocketTests : IDisposable
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("bar-broker-bind-");

    private string SocketPath => Path.Combine(_directory.FullName, "broker.sock");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void The_socket_gets_exactly_its_mode_whatever_the_umask()
    {
        using BoundSocket bound = BoundSocket.Create(At(SocketPath));

        // The usual umask of 022 would take group write, and with it the right to connect.
        Assert.Equal(Mode, File.GetUnixFileMode(SocketPath));
    }

    [Fact]
    public void It_is_removed_with_its_listener()
    {
        BoundSocket.Create(At(SocketPath)).Dispose();

        Assert.False(Path.Exists(SocketPath));
    }

    [Fact]
    public void A_dead_brokers_socket_is_replaced()
    {
        MakeStale();

        using BoundSocket bound = BoundSocket.Create(At(SocketPath));

        using Socket client = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        client.Connect(new UnixDomainSocketEndPoint(SocketPath));
    }

    [Fact]
    public void A_live_brokers_socket_is_left_alone()
    {
        using BoundSocket living = BoundSocket.Create(At(SocketPath));

        Assert.Contains("another broker holds", Refusal(SocketPath), StringComparison.Ordinal);
        Assert.True(Path.Exists(SocketPath));
    }

    [Fact]
    public void A_live_socket_of_another_program_is_left_alone()
    {
        using Socket living = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        living.Bind(new UnixDomainSocketEndPoint(SocketPath));
        living.Listen(1);

        Assert.Contains("a live process does already", Refusal(SocketPath), StringComparison.Ordinal);
        Assert.True(Path.Exists(SocketPath));
    }

    [Fact]
    public void A_live_socket_with_a_full_backlog_is_left_alone()
    {
        using Socket living = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        living.Bind(new UnixDomainSocketEndPoint(SocketPath));
        living.Listen(0);
        using Socket waiting = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        waiting.Connect(new UnixDomainSocketEndPoint(SocketPath));

        Assert.Contains("a live process does already", Refusal(SocketPath), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_is_never_removed_not_even_an_empty_one()
    {
        File.WriteAllText(SocketPath, string.Empty);

        Assert.Contains("something that is no socket", Refusal(SocketPath), StringComparison.Ordinal);
        Assert.True(File.Exists(SocketPath));
    }

    [Fact]
    public void A_link_is_never_followed_into_a_removal()
    {
        string target = SocketPath;
        MakeStale();
        string link = Path.Combine(_directory.FullName, "link.sock");
        File.CreateSymbolicLink(link, target);

        Assert.Contains("something that is no socket", Refusal(link), StringComparison.Ordinal);
        Assert.True(Path.Exists(target));
    }

    [Fact]
    public void A_missing_directory_is_named() =>
        Assert.Contains("its directory does not exist", Refusal(Path.Combine(_directory.FullName, "none", "broker.sock")), StringComparison.Ordinal);

    [Fact]
    public void A_path_that_is_too_long_is_named() =>
        Assert.Contains("1 to 107 bytes", Refusal(Path.Combine(_directory.FullName, new string('x', 108))), StringComparison.Ordinal);

    [Fact]
    public void After_a_failure_the_path_can_be_taken()
    {
        File.WriteAllText(SocketPath, string.Empty);
        Refusal(SocketPath);
        File.Delete(SocketPath);

        BoundSocket.Create(At(SocketPath)).Dispose();
    }

    private static string Refusal(string path) => Assert.Throws<IOException>(() => BoundSocket.Create(At(path))).Message;

    private static TestEndPoint At(string path) => new TestEndPoint(path) { Mode = Mode, Group = null, Inherited = null, Limits = new UserLimits(1, 1, 1, 1) };

    /// <summary>What a killed process leaves: a bound socket that nobody has open.</summary>
    private void MakeStale()
    {
        string elsewhere = SocketPath + ".moved";
        using (Socket dead = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(SocketPath));
            dead.Listen(1);

            // .NET removes the path that it bound; so does no killed process.
            File.Move(SocketPath, elsewhere);
        }

        File.Move(elsewhere, SocketPath);
    }

    private sealed class TestEndPoint(string path) : UnixSocketEndPoint(path);
}
