using System.Diagnostics;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using BarBroker.Tests.Native;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>libbarbroker in a C program: tickets, mappings, and the end of a lease.</summary>
public sealed partial class NativeTicketTests(InstalledLibrary library)
{
    private const string Ticket = "0123456789abcdef0123456789abcdef";

    /// <summary>Redeems and prints how that went; then as the tests below say, until the lease is over.</summary>
    private const string Source = """
        #include <barbroker.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <sys/resource.h>
        #include <sys/stat.h>
        #include <unistd.h>

        #define CHECK(condition) do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

        static const char *name_of(int result)
        {
                return result < 0 ? strerrorname_np(-result) : "OK";
        }

        int main(int argc, char **argv)
        {
                int descriptor = 77, connection, pipe_ends[2];
                uint32_t value = 0;
                size_t length, other_length;
                void *memory, *other;
                struct stat status;

                CHECK(argc >= 3);
                setvbuf(stdout, NULL, _IOLBF, 0);
                /* Room for the connection alone, whatever was inherited. */
                if (argc == 4)
                        CHECK(close_range(3, ~0U, 0) == 0 && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4, 4 }) == 0);
                connection = bb_redeem(argv[1], argv[2], &descriptor);
                if (connection < 0) {
                        CHECK(descriptor == -1);
                        printf("%s\n", name_of(connection));
                        return 0;
                }
                CHECK(fcntl(connection, F_GETFD) == FD_CLOEXEC && fcntl(descriptor, F_GETFD) == FD_CLOEXEC);
                CHECK(fstat(descriptor, &status) == 0);
                CHECK(bb_mmio_init() == 0);
                CHECK(bb_map(descriptor, BB_READ_ONLY, &other, &other_length) == 0);
                CHECK(bb_map(descriptor, BB_READ_WRITE, &memory, &length) == 0 && length == other_length);
                CHECK(bb_map(descriptor, (enum bb_access)3, &memory, &length) == -EINVAL);
                CHECK(bb_map(999, BB_READ_ONLY, &memory, &length) == -EBADF && bb_lease_state(999, NULL) == -EBADF);
                CHECK(pipe(pipe_ends) == 0 && bb_map(pipe_ends[0], BB_READ_ONLY, &memory, &length) == -EINVAL);
                CHECK(bb_mmio_write32((char *)memory + 8, 0x1234) == 0 && bb_mmio_read32((char *)other + 8, &value) == 0);
                CHECK(bb_unmap(other, other_length) == 0 && msync(other, other_length, MS_ASYNC) != 0);
                CHECK(bb_lease_state(descriptor, NULL) == BB_LIVE && bb_lease_state(descriptor, memory) == BB_LIVE);
                CHECK(bb_wait_end(connection, 0) == 0 && bb_wait_end(connection, 20) == 0);

                /* A lease that stands and yet can't be read: what a suspended device looks like. */
                int empty = memfd_create("empty", 0);
                void *absent = mmap(NULL, 4096, PROT_READ, MAP_SHARED, empty, 0);
                CHECK(absent != MAP_FAILED && bb_lease_state(descriptor, absent) == BB_SUSPENDED);

                printf("granted %llu %zu %x\n", (unsigned long long)status.st_ino, length, value);
                CHECK(bb_wait_end(connection, -1) == 1 && bb_wait_end(connection, 0) == 1);
                CHECK(bb_mmio_read32(memory, &value) == -EFAULT);
                CHECK(bb_lease_state(descriptor, NULL) == BB_REVOKED && bb_lease_state(descriptor, memory) == BB_REVOKED);
                CHECK(bb_map(descriptor, BB_READ_ONLY, &other, &other_length) == -ENODEV);
                CHECK(close(connection) == 0 && bb_wait_end(connection, 0) == -EBADF);
                printf("over\n");
                return 0;
        }
        """;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_ticket_becomes_a_mapping_and_a_connection_that_tells_of_the_end(bool isStatic)
    {
        using NativeProgram program = await CompileAsync(isStatic);
        using FakeRedeemer broker = new();
        using OwnedDescriptor memory = MemFd.Create("lease");
        Files.Truncate(memory, 8192);
        using Process client = program.Start(broker.Path, Ticket);
        (Socket connection, string request) = await broker.AcceptAsync();
        using (connection)
        {
            Assert.Equal($"BARFD1 {Ticket}\n", request);
            FakeRedeemer.Answer(connection, 0, memory);
            Assert.Equal($"granted {Files.InodeOf(memory)} 8192 1234", await client.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));

            // As the broker does it: the memory first.
            Files.Truncate(memory, 0);
        }

        Assert.Equal("over", await client.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken));
        await client.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, client.ExitCode);
    }

    [Theory]
    [InlineData(1, "EKEYREJECTED")]
    [InlineData(2, "EDQUOT")]
    [InlineData(3, "EPROTO")]
    [InlineData(4, "ENODEV")]
    [InlineData(72, "EPROTO")]
    public async Task Each_refusal_has_an_error_of_its_own(byte answer, string error)
    {
        Assert.Equal(error, await RedeemAsync(Ticket, connection => FakeRedeemer.Answer(connection, answer)));
    }

    [Fact]
    public async Task A_descriptor_that_comes_with_a_refusal_does_not_make_it_a_grant()
    {
        using OwnedDescriptor memory = MemFd.Create("lease");
        Assert.Equal("EKEYREJECTED", await RedeemAsync(Ticket, connection => FakeRedeemer.Answer(connection, 1, memory)));
    }

    [Fact]
    public async Task A_grant_without_a_descriptor_is_none()
    {
        Assert.Equal("EPROTO", await RedeemAsync(Ticket, connection => FakeRedeemer.Answer(connection, 0)));
    }

    [Fact]
    public async Task A_process_that_is_out_of_descriptors_is_told_so()
    {
        using OwnedDescriptor memory = MemFd.Create("lease");
        Assert.Equal("EMFILE", await RedeemAsync(Ticket, connection => FakeRedeemer.Answer(connection, 0, memory), "no more than the connection"));
    }

    [Fact]
    public async Task A_broker_that_hangs_up_is_told_from_one_that_refuses()
    {
        Assert.Equal("ECONNRESET", await RedeemAsync(Ticket, _ => { }));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0123456789abcdef0123456789abcde")]
    [InlineData("0123456789abcdef0123456789abcdef0")]
    [InlineData("0123456789ABCDEF0123456789ABCDEF")]
    [InlineData("0123456789abcdef0123456789abcde\n")]
    public async Task What_can_be_no_ticket_is_not_sent(string ticket)
    {
        // There is nobody to send it to: that would be another error.
        using NativeProgram program = await CompileAsync();
        Assert.Equal("EINVAL\n", await program.RunAsync("/nowhere", ticket));
    }

    [Fact]
    public async Task A_socket_that_can_not_be_connected_to_is_the_systems_error()
    {
        using NativeProgram program = await CompileAsync();
        string deserted;
        using (FakeRedeemer broker = new())
        {
            deserted = broker.Path + "-deserted";
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(new UnixDomainSocketEndPoint(deserted));
            Assert.Equal("ECONNREFUSED\n", await program.RunAsync(deserted, Ticket));
        }

        Assert.Equal("ENOENT\n", await program.RunAsync("/nowhere", Ticket));
        Assert.Equal("ENAMETOOLONG\n", await program.RunAsync("", Ticket));
        Assert.Equal("ENOENT\n", await program.RunAsync($"/{new string('x', 106)}", Ticket));
        Assert.Equal("ENAMETOOLONG\n", await program.RunAsync($"/{new string('x', 107)}", Ticket));
    }

    [Fact]
    public async Task The_library_shows_what_its_header_has_and_no_more()
    {
        string header = await File.ReadAllTextAsync(await library.HeaderAsync(), TestContext.Current.CancellationToken);
        string symbols = await InstalledLibrary.RunAsync("nm", "-D", "--defined-only", "--format=just-symbols", await library.SharedAsync());

        // One that is no function is how two copies know each other.
        string[] expected = [.. Declarations().Matches(header).Select(match => match.Groups[1].Value), "bb_mmio_owner"];
        Assert.Equal(expected.Order(StringComparer.Ordinal), symbols.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Programs_ask_for_the_library_by_the_name_of_its_interface()
    {
        Assert.Contains("[libbarbroker.so.0]", await InstalledLibrary.RunAsync("readelf", "-d", await library.SharedAsync()), StringComparison.Ordinal);
    }

    private async Task<NativeProgram> CompileAsync(bool isStatic = false) => await library.CompileAsync("#include <errno.h>\n" + Source, isStatic);

    /// <summary>What bb_redeem says to a broker that answers like this and hangs up.</summary>
    private async Task<string> RedeemAsync(string ticket, Action<Socket> answer, params string[] more)
    {
        using NativeProgram program = await CompileAsync();
        using FakeRedeemer broker = new();
        using Process client = program.Start([broker.Path, ticket, .. more]);
        (Socket connection, _) = await broker.AcceptAsync();
        using (connection)
        {
            answer(connection);
        }

        string output = await client.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await client.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, client.ExitCode);
        return output.TrimEnd();
    }

    [GeneratedRegex(@"^BB_API .*?\b(bb_\w+)\(", RegexOptions.Multiline)]
    private static partial Regex Declarations();
}
