using System.Runtime.ExceptionServices;
using BarBroker.Policy;

namespace BarBroker.Hosting;

/// <summary>What kept devices from being opened, told as one failure.</summary>
internal static class StartFailures
{
    /// <summary>Throws what <paramref name="failures"/> come to together; does nothing if there are none.</summary>
    /// <param name="file">The policy's file.</param>
    /// <param name="failures">In the order of the devices.</param>
    /// <exception cref="StartException">A device can't be had; the message has a line for each, and for each that the policy doesn't fit.</exception>
    /// <exception cref="PolicyException">The policy does not fit some of them, and nothing else is wrong.</exception>
    public static void ThrowIfAny(string file, IReadOnlyList<Exception> failures)
    {
        if (failures.Count == 0)
        {
            return;
        }

        // What nobody thought of says most as it is. And as long as the kernel is unfit, nothing else matters.
        Exception? outstanding = failures.FirstOrDefault(failure => failure is not (StartException or PolicyException))
            ?? failures.FirstOrDefault(failure => failure is StartException { ExitCode: ExitCodes.UnfitKernel });
        if (outstanding is not null || failures.Count == 1)
        {
            ExceptionDispatchInfo.Throw(outstanding ?? failures[0]);
        }

        if (failures.All(failure => failure is PolicyException))
        {
            PolicyErrors errors = new(file);
            errors.Add(failures.Cast<PolicyException>().SelectMany(failure => failure.Errors));
            errors.ThrowIfAny();
        }

        throw new StartException(string.Join(Environment.NewLine, failures.Select(failure => failure.Message)), failures[0]);
    }
}
