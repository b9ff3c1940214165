using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using BarBroker.Tests.Native;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>The native library in processes of their own: what it does with bus errors that aren't its own, and what its functions are made of.</summary>
public sealed partial class NativeLibraryTests
{
    private const int BusError = 128 + 7;

    private static readonly string Library = Path.Combine(AppContext.BaseDirectory, "libbarbroker.so");

    [Theory]
    [InlineData("own-fault", 0)]
    [InlineData("own-fault-many-threads", 0)]
    [InlineData("foreign-fault-default", BusError)]
    [InlineData("foreign-fault-ignored", BusError)]
    [InlineData("foreign-fault-handler", 40)]
    [InlineData("foreign-fault-siginfo", 41)]
    [InlineData("sent-default", BusError)]
    [InlineData("sent-ignored", 0)]
    [InlineData("sent-siginfo", 42)]
    [InlineData("memory-failure-default", BusError)]
    [InlineData("memory-failure-ignored", 0)]
    [InlineData("second-copy", 0)]
    [InlineData("closed-and-opened", 0)]
    public async Task A_bus_error_ends_as_it_should(string scenario, int exitCode)
    {
        using NativeProgram program = await NativeProgram.CompileAsync(SignalScenarios.Source, "-Wextra", "-D_GNU_SOURCE");
        string copy = Path.Combine(Path.GetTempPath(), $"barbroker-{Guid.NewGuid():n}.so");
        File.Copy(Library, copy);
        try
        {
            using Process process = program.Start(scenario, Library, copy);
            string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.True(exitCode == process.ExitCode, $"exit code {process.ExitCode} instead of {exitCode}: {output}");
        }
        finally
        {
            File.Delete(copy);
        }
    }

    [Theory]
    [InlineData("read8", "movzbl (%rdi)", "ldrb w, [x0]")]
    [InlineData("read16", "movzwl (%rdi)", "ldrh w, [x0]")]
    [InlineData("read32", "mov (%rdi),%e", "ldr w, [x0]")]
    [InlineData("read64", "mov (%rdi),%r", "ldr x, [x0]")]
    [InlineData("write8", "mov %sil,(%rdi)", "strb w, [x0]")]
    [InlineData("write16", "mov %si,(%rdi)", "strh w, [x0]")]
    [InlineData("write32", "mov %esi,(%rdi)", "str w, [x0]")]
    [InlineData("write64", "mov %rsi,(%rdi)", "str x, [x0]")]
    public async Task Each_function_touches_the_device_with_one_instruction_of_its_width(string function, string onX64, string onArm64)
    {
        string text = await DisassembleAsync(function);
        bool isX64 = RuntimeInformation.ProcessArchitecture == Architecture.X64;

        // "    15d2:  mov    (%rdi),%edi", with one space between the parts; on arm64 without the number of the data register.
        string[] accesses = [.. text.Split('\n')
            .Select(line => Spaces().Replace(line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim(), " "))
            .Where(line => line.Contains(isX64 ? "(%rdi" : "[x0", StringComparison.Ordinal))
            .Select(line => isX64 ? line : DataRegister().Replace(line, "$1,"))];

        Assert.StartsWith(isX64 ? onX64 : onArm64, Assert.Single(accesses), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("write_fence", "sfence", "dsb st")]
    [InlineData("fence", "mfence", "dsb sy")]
    public async Task Each_fence_is_the_instruction_that_orders_write_combining_memory_too(string function, string onX64, string onArm64)
    {
        string text = Spaces().Replace(await DisassembleAsync(function), " ");

        Assert.Contains($": {(RuntimeInformation.ProcessArchitecture == Architecture.X64 ? onX64 : onArm64)} ", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bus_error_of_somebody_else_still_ends_a_dotnet_process()
    {
        using Process child = DyingProcess.Start(DyingProcess.ForeignBusError);
        string output = await child.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal("own fault caught\n", output);
        Assert.True(child.ExitCode > 128, $"It ended with code {child.ExitCode} instead of by a signal.");
    }

    private static async Task<string> DisassembleAsync(string function)
    {
        using Process objdump = Process.Start(new ProcessStartInfo("objdump", ["-d", "--no-show-raw-insn", $"--disassemble=bb_mmio_{function}", Library])
        {
            RedirectStandardOutput = true,
        })!;
        string text = await objdump.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await objdump.WaitForExitAsync(TestContext.Current.CancellationToken);
        return text;
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();

    [GeneratedRegex(@"(?<= [wx])\d+(),")]
    private static partial Regex DataRegister();
}
